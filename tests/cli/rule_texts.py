"""Rule texts that several tests of the command line use."""

CLEAN = """\
model "torchvision:resnet18"
epochs 10
optimizer adamw(weight_decay=0.05)
schedule cosine(warmup=10%)
** -> lr 1e-3
layer<i> -> lr *= 0.5 ^ (last(i) - i + 1)
freeze conv1, bn1
unfreeze layer4 then layer3 then layer2 then layer1 every 2 epochs
** where ndim <= 1 -> weight_decay 0
"""
FAULTY = """\
model "torchvision:resnet18"
** -> lr 1e-3
layer5.* -> lr 1e-4
fc -> lr 1e-2, wd 3
freez layer1
"""
WARNED = """\
model "torchvision:resnet18"
fc -> lr 1e-2
"""
