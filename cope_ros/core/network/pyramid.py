"""PFPN: a feature pyramid with a top-down and a bottom-up path (paper, appendix A)."""

from torch import Tensor, nn

from cope_ros.core.network.layers import conv_layer, upsample


class Pyramid(nn.Module):
    """Three maps in, three maps of equal width out.

    1x1 laterals; top-down sums followed by 3x3 convolutions; bottom-up by stride-2 3x3
    convolutions with a skip from each lateral; 3x3 output convolutions.

    Args:
        c_in: channels of the inputs, finest first.
        channels: of all outputs.
        separable: depthwise-separable instead of full 3x3 convolutions.
        norm: of each convolution, see ``layers.conv_layer`` (the published net has none).
    """

    def __init__(
        self, c_in: tuple[int, int, int], channels: int, separable: bool, norm: str
    ) -> None:
        super().__init__()

        def conv(stride: int = 1) -> nn.Module:
            return conv_layer(channels, channels, 3, stride, separable, norm)

        self.lateral3, self.lateral4, self.lateral5 = (nn.Conv2d(c, channels, 1) for c in c_in)
        self.top_down5, self.top_down4, self.top_down3 = conv(), conv(), conv()
        self.bottom_up4, self.bottom_up5 = conv(2), conv(2)
        self.out3, self.out4, self.out5 = conv(), conv(), conv()

    def forward(self, c3: Tensor, c4: Tensor, c5: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C_i, H_i, W_i) at strides 8, 16, 32 -> (B, channels, H_i, W_i) each."""
        l3, l4, l5 = self.lateral3(c3), self.lateral4(c4), self.lateral5(c5)
        p5 = self.top_down5(l5)
        p4 = self.top_down4(l4 + upsample(p5, 2))
        p3 = self.top_down3(l3 + upsample(p4, 2))
        n3 = p3 + l3
        n4 = p4 + l4 + self.bottom_up4(n3)
        n5 = p5 + l5 + self.bottom_up5(n4)
        return self.out3(n3), self.out4(n4), self.out5(n5)
