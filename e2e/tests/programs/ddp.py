"""Logistic regression of wine quality with DistributedDataParallel: one process a pod, found by MASTER_ADDR."""

import csv
import os
import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel


def rows(folder):
    (name,) = os.listdir(folder)
    with open(os.path.join(folder, name)) as file:
        table = [[float(x) for x in row] for row in list(csv.reader(file))[1:]]
    data = torch.tensor(table)
    x, y = data[:, :-1], data[:, -1:]
    return (x - x.mean(0)) / x.std(0), y


def main():
    dist.init_process_group("gloo", init_method="env://")
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(int(os.environ.get("SERIN_SEED", "1")))
    x, y = rows(os.path.join(os.environ["SERIN_DATA_DIR"], "train"))
    # Each pod sees its own part of the data; only the gradients are shared.
    x, y = x[rank::world], y[rank::world]
    model = DistributedDataParallel(torch.nn.Linear(x.shape[1], 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=float(os.environ["SERIN_PARAM_LEARNING_RATE"]))
    loss_of = torch.nn.BCEWithLogitsLoss()
    for step in range(100):
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    gathered = [torch.empty_like(weights) for _ in range(world)]
    dist.all_gather(gathered, weights)
    if not all(torch.equal(weights, other) for other in gathered):
        sys.exit("the ranks ended with different weights")
    right = ((model(x) > 0) == (y > 0.5)).float().mean()
    dist.all_reduce(right)
    print(f"rank {rank} of {world}: loss {loss:.4f}, {right.item() / world:.3f} right", flush=True)
    if rank == 0:
        torch.save(model.module.state_dict(), os.path.join(os.environ["SERIN_OUTPUT_DIR"], "model.pt"))
    dist.destroy_process_group()


main()
