"""The networks of jempp in PyTorch, the WideResNet under the names of the official code of JEM++."""

from torch import nn
from torch.nn import functional as F

SLOPE = 0.2


def activate(x):
    return F.leaky_relu(x, SLOPE)


class Block(nn.Module):
    """norm, activation, convolution, twice, the stride in the second; plus the input or a 1x1 of it."""

    def __init__(self, inputs, outputs, stride, norm):
        super().__init__()
        self.bn1 = norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.bn2 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Sequential(*[nn.Conv2d(inputs, outputs, 1, stride)] * changes)

    def forward(self, x):
        z = self.conv1(activate(self.bn1(x)))
        return self.conv2(activate(self.bn2(z))) + self.shortcut(x)


class Features(nn.Module):
    """WRN-depth-width up to its pooled features; `has_aliases` registers parts twice, as `yopo` does."""

    def __init__(self, depth, width, norm, has_aliases):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1)
        if has_aliases:
            self.layer_one = self.conv1
        inputs = 16
        for stage, first_stride in enumerate([1, 2, 2]):
            outputs, blocks = (16 << stage) * width, []
            for index in range((depth - 4) // 6):
                blocks.append(Block(inputs, outputs, first_stride if index == 0 else 1, norm))
                inputs = outputs
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.bn1 = norm(inputs)
        if has_aliases:
            stages = [self.layer1, self.layer2, self.layer3, self.bn1]
            self.other_layers = nn.ModuleList(stages)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return activate(self.bn1(x)).mean((2, 3))


class WideResNet(nn.Module):
    """Logits of images (N, 3, H, W)."""

    def __init__(self, depth, width, norm, num_classes=10, has_aliases=False):
        super().__init__()
        norms = {"none": lambda _: nn.Identity(), "batch": lambda c: nn.BatchNorm2d(c, momentum=0.9)}
        self.f = Features(depth, width, norms[norm], has_aliases)
        self.energy_output = nn.Linear(64 * width, 1)
        self.class_output = nn.Linear(64 * width, num_classes)

    def forward(self, x):
        return self.class_output(self.f(x))


class Cnn(nn.Module):
    """cnn-small, cnn-medium, cnn-base or cnn-tiny; `positions` is the pixels that a flattening head sees, or 1."""

    PLANS = {
        "cnn-small": [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1)],
        "cnn-medium": [(16, 1), (32, 2), (64, 1), (96, 2), (96, 1)],
        "cnn-base": [(32, 1), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1)],
        "cnn-tiny": [(32, 1), (32, 1)],
    }

    def __init__(self, arch, channels, positions, num_classes):
        super().__init__()
        self.flattens = arch in ("cnn-small", "cnn-medium")
        self.convs = nn.ModuleList()
        for outputs, stride in self.PLANS[arch]:
            self.convs.append(nn.Conv2d(channels, outputs, 3, stride, 1))
            channels = outputs
        self.class_output = nn.Linear(channels * positions, num_classes)

    def forward(self, x):
        for conv in self.convs:
            x = activate(conv(x))
        return self.class_output(x.flatten(1) if self.flattens else x.mean((2, 3)))


class Mlp(nn.Module):
    """mlp, for points (N, C, 1, 1)."""

    def __init__(self, channels, num_classes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(inputs, 128) for inputs in (channels, 128, 128))
        self.class_output = nn.Linear(128, num_classes)

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.layers:
            x = activate(layer(x))
        return self.class_output(x)
