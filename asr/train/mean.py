"""The mean of checkpoints of one training: forgets less of what an earlier one knew.

  python mean.py OUT A B [...]
"""
import sys

import torch


def mean(parts):
    """Tensors of numbers are averaged, everything else is taken from the last one."""
    last = parts[-1]
    if isinstance(last, dict):
        return {k: mean([p[k] for p in parts]) for k in last}
    if torch.is_tensor(last) and last.is_floating_point():
        return (sum(p.float() for p in parts) / len(parts)).to(last.dtype)
    return last


if __name__ == "__main__":
    torch.save(mean([torch.load(f, map_location="cpu") for f in sys.argv[2:]]), sys.argv[1])
