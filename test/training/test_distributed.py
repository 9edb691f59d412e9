"""Training in several processes computes what one process would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from core_factory import make_catalogue
from ddp_worker import CONFIG, run_steps
from safetensors.torch import load_file
from test_training import make_trainer

from cope_ros.core.errors import CopeError
from cope_training import train
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.distributed import Ranks, joined
from cope_training.engine.local_processes import free_port
from cope_training.engine.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
WORKER = ROOT / "test" / "helpers" / "ddp_worker.py"
RESTARTED = ROOT / "test" / "helpers" / "restart_worker.py"


def command(worker: Path, out: Path, *options: str) -> list[str]:
    python = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run"]
    return [*python, *options, str(worker), str(out)]


def run_all(commands: list[list[str]], out: Path) -> None:
    """Runs agents of torchrun side by side; all have to end well."""
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'test/helpers'}:{ROOT / 'test/training'}",
        "OMP_NUM_THREADS": "1",
    }
    agents = [
        subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment, cwd=out)
        for line in commands
    ]
    for agent in agents:
        errors = agent.communicate(timeout=300)[1]
        assert agent.returncode == 0, errors[-3000:]


def torchrun(machines: int, out: Path) -> dict[str, torch.Tensor]:
    """Results of one process on each of several machines, all of them this one."""
    shared = ["--nnodes", str(machines), "--master_addr", "127.0.0.1"]
    shared += ["--master_port", str(free_port())]
    nodes = [[*shared, "--nproc_per_node", "1", "--node_rank", str(i)] for i in range(machines)]
    run_all([command(WORKER, out, *options) for options in nodes], out)
    return load_file(out / "results.safetensors")


def test_two_machines_have_the_gradients_of_one_with_both_shares(tmp_path: Path) -> None:
    """One of the two sees no object at all, so that local means would differ."""
    alone = run_steps(make_trainer(CONFIG), 1)
    shared = torchrun(2, tmp_path)
    assert set(alone) == set(shared)
    for name in alone:
        if name.startswith("loss/"):
            assert shared[name] == pytest.approx(alone[name].item(), rel=1e-4), name
    gradients = [name for name in alone if name.startswith("grad/")]
    assert len(gradients) > 50
    for name in gradients:
        # Sums of other orders; a share left out would change a gradient by its own size.
        error = (shared[name] - alone[name]).norm().item()
        assert error <= 1e-2 * alone[name].norm().item() + 1e-8, name
    saved = checkpoints.load(tmp_path / "checkpoint")
    assert saved.step == 1
    assert all(torch.equal(saved.weights[k], shared[f"weight/{k}"]) for k in saved.weights)


def test_one_process_of_torchrun_is_one_process_to_the_bit(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = run_steps(make_trainer(CONFIG), 1)
    torch.set_num_threads(threads)
    shared = torchrun(1, tmp_path)
    assert all(torch.equal(alone[name].cpu(), shared[name]) for name in alone)


@pytest.mark.skipif(
    "COPE_RESTARTS" not in os.environ,
    reason="set COPE_RESTARTS: a restarted gloo may dial the dead process, going on is unproved",
)
def test_a_killed_process_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    options = ["--standalone", "--nproc_per_node", "2", "--max-restarts", "4"]
    run_all([command(RESTARTED, tmp_path, *options)], tmp_path)
    saved = checkpoints.load(tmp_path / "checkpoint")
    assert saved.step == 4
    for rank in range(2):
        began = (tmp_path / f"began_{rank}.txt").read_text().split()
        assert began == ["0", "2"]


def test_a_machine_that_does_not_see_the_checkpoint_is_told(tmp_path: Path) -> None:
    class Second(Ranks):
        def any(self, flag: bool) -> bool:
            return True  # the first has one

    with pytest.raises(CopeError, match="process 1 does not see the checkpoint"):
        train._resumes(tmp_path / "nowhere", Second(1, 2))


def test_a_checkpoint_between_two_names_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    assert not checkpoints.is_there(folder)
    checkpoints.save(folder, make_trainer(CONFIG).checkpoint({}))
    folder.rename(tmp_path / "checkpoint.new")
    assert checkpoints.is_there(folder)
    assert checkpoints.load(folder).step == 0


def test_processes_share_the_sequence_of_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they see what one would: no frame twice, none left out, also after a resume."""
    opened = []
    monkeypatch.setattr(train, "FrameStream", lambda *a, **k: opened.append((a, k)))
    monkeypatch.setattr(train, "build_source", lambda *_: None)
    for rank in range(2):
        trainer = Trainer(CONFIG, make_catalogue(), torch.device("cpu"), Ranks(rank, 2))
        trainer.step = 3
        train._open_stream(trainer)
    numbers = []
    for (_, _, start), options in opened:
        numbers += [start + options["stride"] * i for i in range(CONFIG.batch // 2)]
    assert sorted(numbers) == list(range(3 * CONFIG.batch, 4 * CONFIG.batch))


def test_a_batch_is_divided_evenly_or_refused() -> None:
    assert Ranks(1, 4).share(64) == 16
    with pytest.raises(CopeError, match="multiple of 3 processes, got 16"):
        Ranks(0, 3).share(16)


def test_without_torchrun_a_process_is_alone() -> None:
    with joined("cpu") as (ranks, device):
        assert (ranks, device) == (Ranks(), torch.device("cpu"))
        assert ranks.any(True)
        assert not ranks.any(False)
