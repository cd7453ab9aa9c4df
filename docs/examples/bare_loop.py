import torch
from sklearn.datasets import load_digits

import layerlr_dsl as layerlr
from layerlr_dsl.runner.models import pretrained

x, y = map(torch.tensor, load_digits(return_X_y=True))
x = torch.nn.functional.interpolate(x.float().view(-1, 1, 8, 8).expand(-1, 3, -1, -1) / 8 - 1, size=64)
rules = layerlr.load("rules/efficientnet_lite0_digits.lr")
model = pretrained(rules.model, "efficientnet-lite0")
plan = rules.resolve(model, steps_per_epoch=len(y.split(32)))
schedule = plan.schedule(model, optimizer := plan.optimizer(model))
for _ in range(8):
    for batch in torch.randperm(len(y)).split(32):
        torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step(); schedule.step(); optimizer.zero_grad()  # fmt: skip # noqa: E702
