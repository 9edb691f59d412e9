"""OpenGL beside other libraries in one process."""

import subprocess
import sys

import pytest

ORDERS = {
    "Triton imported by PyTorch after the renderer began": "import torch._dynamo",
    "torchvision after the renderer began": "import torchvision",
}


@pytest.mark.parametrize("then", ORDERS.values(), ids=ORDERS.keys())
def test_a_process_that_renders_may_import_what_it_likes(egl, then):
    code = (
        f"from cope_training.rendering.renderer import Renderer\nRenderer()\n{then}\nprint('alive')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout == "alive\n", (ended.returncode, ended.stderr[-400:])
