"""Flow: poses follow from where places are seen; what is not seen, or not sure, does not count."""

import math

import torch
from core_factory import make_catalogue, make_estimator, make_K
from test_crop_head import noise, random_rotations
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.network.build import build_network
from cope_ros.core.network.presets import PRESETS
from cope_ros.core.refinement.crop_network import PoseCandidates
from cope_ros.core.refinement.flow import (
    FLOW_STRIDE,
    MAX_LOG_SQRT_INFORMATION,
    Flow,
    FlowHead,
    log_likelihood,
)
from cope_ros.core.refinement.refiner import Refiner
from cope_ros.core.types import PoseBatch

SIZE = 96
DIAMETER = torch.full((3,), 0.1)
CENTER = torch.tensor([[0.0, 0.0, 0.4]]).expand(3, 3)
K = torch.tensor([[[300.0, 0, 47.5], [0, 310.0, 47.5], [0, 0, 1]]]).expand(3, 3, 3)
TURN = torch.tensor([[0.1, -0.05, 0.08], [0.0, 0.15, 0.0], [-0.1, 0.1, 0.1]])
MOVE = torch.tensor([[0.004, -0.002, 0.01], [0.0, 0.003, -0.02], [0.002, 0.002, 0.0]])


def make_head(**sigmas: float) -> FlowHead:
    """A head whose poses given count ever so little, if not said otherwise."""
    head = FlowHead(8, 8, 16)
    values = {"rotation": 10.0, "side": 10.0, "depth": 10.0, "trust": 1.0} | sigmas
    with torch.no_grad():
        head.log_sigmas.copy_(torch.tensor(list(values.values())).log())
    return head


def true_flow(count: int = 80) -> tuple[Flow, Tensor, Tensor]:
    """Flow of three poses from others that TURN and MOVE change, and the true ones."""
    R = random_rotations(3)
    point = 0.08 * (torch.rand(3, count, 3, generator=torch.Generator().manual_seed(1)) - 0.5)
    turn = geometry.exp_so3(TURN)
    center = CENTER + MOVE
    pixel = geometry.project(point @ turn.transpose(1, 2) + center.unsqueeze(1), K)
    ones = torch.ones(3, count)
    sqrt_information = torch.stack((ones, 0 * ones, ones), -1)
    return Flow(R, CENTER, point, ones, pixel, sqrt_information, 20.0 * ones), turn @ R, center


def off(pose: tuple[Tensor, Tensor], R: Tensor, center: Tensor) -> tuple[float, float]:
    """Largest errors, rad and m."""
    angle = geometry.log_so3(pose[0] @ R.transpose(1, 2)).norm(dim=1)
    return angle.max().item(), (pose[1] - center).norm(dim=1).max().item()


def test_the_pose_follows_from_true_flow() -> None:
    flow, R, center = true_flow()
    angle, displacement = off(make_head().fit(flow, K, DIAMETER), R, center)
    assert angle < 1e-3
    assert displacement < 1e-4


def test_what_is_not_seen_or_not_drawn_does_not_count() -> None:
    flow, R, center = true_flow()
    wrong = flow.pixel.clone()
    wrong[:, ::2] += 30.0
    hidden = flow.seen.clone()
    hidden[:, ::2] = -30.0
    rendered = flow.rendered.clone()
    rendered[:, ::2] = 0.0
    for silenced in (flow._replace(seen=hidden), flow._replace(rendered=rendered)):
        angle, displacement = off(
            make_head().fit(silenced._replace(pixel=wrong), K, DIAMETER), R, center
        )
        assert angle < 1e-3
        assert displacement < 1e-4
    assert off(make_head().fit(flow._replace(pixel=wrong), K, DIAMETER), R, center)[1] > 1e-3


def test_few_places_far_off_hardly_matter() -> None:
    flow, R, center = true_flow()
    wrong = flow.pixel.clone()
    wrong[:, ::10] += 20.0
    far = flow.pixel.clone()
    far[:, ::10] += 40.0
    first, second = (
        off(make_head().fit(flow._replace(pixel=p), K, DIAMETER), R, center)[1]
        for p in (wrong, far)
    )
    assert first < 0.01
    assert second < 1.3 * first  # least squares would double it


def test_a_place_counts_in_the_direction_in_which_it_is_sure() -> None:
    """Errors along edges at 45 degrees to either side, which places do not claim to know."""
    flow, R, center = true_flow()
    side = torch.where(torch.arange(80) % 2 == 0, 1.0, -1.0).expand(3, 80)
    error = torch.randn(3, 80, generator=torch.Generator().manual_seed(2))
    along = torch.stack((error, side * error), -1)
    ones = torch.ones(3, 80)
    # L L^T is [[1, -1], [-1, 1]], or with ones: nothing is known along (1, 1), or (1, -1).
    sqrt_information = torch.stack((ones, -side, 1e-3 * ones), -1)
    sure = flow._replace(pixel=flow.pixel + 5.0 * along, sqrt_information=sqrt_information)
    assert off(make_head().fit(sure, K, DIAMETER), R, center)[0] < 0.01
    blind = flow._replace(pixel=flow.pixel + 5.0 * along)
    assert off(make_head().fit(blind, K, DIAMETER), R, center)[0] > 0.02


def test_without_evidence_the_pose_given_stays() -> None:
    flow, _, _ = true_flow()
    nothing = flow._replace(rendered=torch.zeros_like(flow.rendered))
    R, center = make_head().fit(nothing, K, DIAMETER)
    assert torch.allclose(R, flow.R, atol=1e-6)
    assert torch.allclose(center, flow.center, atol=1e-7)
    broken = flow._replace(pixel=flow.pixel * float("nan"))
    R, center = make_head().fit(broken, K, DIAMETER)
    assert torch.equal(R, flow.R)
    assert torch.equal(center, flow.center)


def test_poses_given_hold_as_much_as_they_are_trusted() -> None:
    flow, R, center = true_flow()
    loose, tight = (
        off(make_head(depth=depth).fit(flow, K, DIAMETER), R, center)[1] for depth in (1.0, 1e-4)
    )
    assert loose < 1e-4
    assert tight > 0.01


def test_motion_of_pixels_is_their_derivative() -> None:
    about = 0.05 * torch.randn(3, 7, 3, dtype=torch.float64)
    center, K64 = CENTER.double(), K.double()
    u, v = geometry.pixel_motion(about + center.unsqueeze(1), about, K64)

    def moved(pose: Tensor) -> Tensor:
        turned = about @ geometry.exp_so3(pose[:, :3]).transpose(1, 2)
        return geometry.project(turned + (center + pose[:, 3:]).unsqueeze(1), K64)

    J = torch.autograd.functional.jacobian(moved, torch.zeros(3, 6, dtype=torch.float64))
    each = torch.stack([J[i, :, :, i] for i in range(3)])
    assert torch.allclose(torch.stack((u, v), 2), each, atol=1e-6)


def make_refiner() -> Refiner:
    refiner = make_estimator("lite_flow").network.refiner
    assert refiner is not None
    refiner.points[..., :3] = 0.03 * geometry.normalize(torch.randn(3, 4096, 3))
    refiner.points[..., 3:] = geometry.normalize(refiner.points[..., :3])
    return refiner


def test_an_untrained_head_sees_places_where_they_are_drawn() -> None:
    refiner, crops = make_refiner(), noise(3)[:, :SIZE, :SIZE]
    with torch.inference_mode():
        delta, features = refiner.predict_delta(
            crops, torch.arange(3), random_rotations(3), CENTER, K
        )
        R, center = refiner.apply_delta(delta, random_rotations(3), CENTER, K)
        flow = refiner.predict_flow(features, torch.arange(3), R, center, K)
    assert flow.point.shape == (3, (SIZE // FLOW_STRIDE) ** 2, 3)
    assert 0.1 < float(flow.rendered.mean()) < 0.9
    assert torch.allclose(flow.R, R)
    assert torch.allclose(flow.center, center)
    place = geometry.project(flow.point + center.unsqueeze(1), K)
    assert (flow.pixel - place)[flow.rendered > 0].abs().max() < 2.0
    y, x = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    cell = torch.stack((x, y), -1).view(1, -1, 2).expand(3, -1, -1)
    inside = torch.floor((place + 0.5) / FLOW_STRIDE).long() == cell
    assert inside.all(-1)[flow.rendered > 0].all()
    assert (flow.sqrt_information[..., ::2] > 0).all()
    assert (flow.sqrt_information[..., ::2] <= math.exp(MAX_LOG_SQRT_INFORMATION)).all()


def test_a_refiner_need_not_have_a_flow() -> None:
    refiner = build_network(PRESETS["lite_refiner"], make_catalogue()).refiner
    assert refiner is not None
    assert refiner.flow is None


def test_evidence_is_for_the_pose_that_explains_what_is_seen_for_sure() -> None:
    head, (flow, R, center) = make_head(), true_flow()
    best = head.mean_log_likelihood(flow, R, center, K)
    assert torch.allclose(best, torch.zeros(3), atol=1e-4)
    assert (head.mean_log_likelihood(flow, flow.R, center, K) < best - 0.1).all()
    assert (head.mean_log_likelihood(flow, R, center + 0.01, K) < best - 0.1).all()
    unsure = flow._replace(sqrt_information=0.5 * flow.sqrt_information)
    assert torch.allclose(
        head.mean_log_likelihood(unsure, R, center, K),
        torch.full((3,), 2 * math.log(0.5)),
        atol=1e-4,
    )
    hidden = flow._replace(pixel=flow.pixel + 9.0, seen=torch.full_like(flow.seen, -40.0))
    assert torch.allclose(head.mean_log_likelihood(hidden, R, center, K), torch.zeros(3), atol=1e-4)


def test_likelihoods_are_those_of_an_ellipse() -> None:
    sqrt_information = torch.tensor([[[2.0, 0.7, 0.5]]])
    displacement = torch.tensor([[[0.3, -1.2]]])
    L = torch.tensor([[2.0, 0.0], [0.7, 0.5]])
    squared = displacement[0] @ L @ L.T @ displacement[0].T
    expected = 1.0 - torch.sqrt(1.0 + squared) + math.log(2.0 * 0.5)
    assert torch.allclose(log_likelihood(sqrt_information, displacement), expected)


class Judging(Refiner):
    """Is sure of poses by how near they are to the one that it is told."""

    truth: Tensor

    def estimate(
        self, crops: Tensor, class_index: Tensor, R: Tensor, center: Tensor, K: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        nothing, to_camera = torch.zeros(len(R), 12, 12), self.turned
        return R, center, nothing, -(to_camera @ R - self.truth).flatten(1).norm(dim=1)

    def cameras_at(self, *given: Tensor):
        camera = super().cameras_at(*given)
        self.turned = camera.R_cam_crop.flatten(0, 1)
        return camera


def test_the_guess_is_chosen_that_the_flow_is_sure_of() -> None:
    plain, truth = make_refiner(), random_rotations(3)
    config = PRESETS["lite_flow"].refiner
    assert config is not None
    corners = torch.stack([torch.tensor(o.corners) for o in make_catalogue()]).float()
    refiner = Judging(config, "mobilenet_v2", corners, plain.diameters)
    refiner.truth = truth[0]
    away = truth[0] @ geometry.exp_so3(torch.tensor([[0.0, 0.0, 2.0]]))[0]
    R = torch.stack([truth[0], away, away, truth[0]]).view(1, 2, 2, 3, 3)
    t = torch.tensor([0.0, 0.0, 0.5]) + 0.01 * torch.arange(4.0).view(1, 2, 2, 1)
    even, sure = torch.zeros(1, 2, 2), torch.tensor([[[-60.0, 0.0], [0.0, -60.0]]])
    for log_probability, chosen in ((even, (0, 1)), (sure, (1, 0))):
        poses = PoseBatch(torch.tensor([[0, 1]]), R[:, :, 0], t[:, :, 0], make_K())
        got, value = refiner.choose(noise(), poses, PoseCandidates(R, t, log_probability))
        assert value.shape == (1, 2)
        assert torch.allclose(got.R[0], R[0, (0, 1), chosen], atol=1e-5)
        assert torch.allclose(got.t[0], t[0, (0, 1), chosen], atol=1e-5)
