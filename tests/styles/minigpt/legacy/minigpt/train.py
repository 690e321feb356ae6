"""python -m minigpt.train --n_layer 2 ..."""
import contextlib
import math
import os
import time

import torch

from .config import GPTConfig, parser
from .model import GPT


def get_lr(args, it):
    if it < args.warmup:
        return args.lr * (it + 1) / (args.warmup + 1)
    if args.schedule == "none":
        return args.lr
    ratio = (it - args.warmup) / max(1, args.steps - args.warmup)
    if args.schedule == "linear":
        return args.lr * (1 - ratio)
    return args.lr * 0.5 * (1.0 + math.cos(math.pi * ratio))


def get_batch(data, args):
    ix = torch.randint(len(data) - args.block_size, (args.batch_size,))
    x = torch.stack([data[i : i + args.block_size] for i in ix])
    y = torch.stack([data[i + 1 : i + 1 + args.block_size] for i in ix])
    return x, y


class EMA:
    def __init__(self, model, decay):
        self.decay = decay
        self.shadow = {k: v.clone() for k, v in model.state_dict().items()}

    def update(self, model):
        for k, v in model.state_dict().items():
            self.shadow[k].mul_(self.decay).add_(v, alpha=1 - self.decay)


def main(argv=None, data=None, callback=None):
    args = parser().parse_args(argv)
    ddp = args.ddp or int(os.environ.get("RANK", -1)) != -1
    if ddp:
        import torch.distributed as dist

        dist.init_process_group(backend="gloo")
        rank = int(os.environ["RANK"])
        world = int(os.environ["WORLD_SIZE"])
        master = rank == 0
    else:
        rank, world, master = 0, 1, True
    torch.manual_seed(args.seed + rank)
    device_type = "cuda" if torch.cuda.is_available() else "cpu"
    ctx = contextlib.nullcontext() if not args.amp else torch.autocast(device_type=device_type, dtype=torch.bfloat16)
    config = GPTConfig.from_args(args)
    model = GPT(config).to(device_type)
    optimizer = model.configure_optimizers(args.optimizer, 0.1, args.lr)
    start = 0
    if args.resume is not None:
        ckpt = torch.load(args.resume, weights_only=True)
        model.load_state_dict(ckpt["model"])
        optimizer.load_state_dict(ckpt["optimizer"])
        start = ckpt["step"]
    raw = model
    if args.compile:
        model = torch.compile(model)
    if ddp:
        from torch.nn.parallel import DistributedDataParallel as DDP

        model = DDP(model)
        raw = model.module
    ema = EMA(raw, args.ema) if args.ema > 0 else None
    if args.wandb and master:
        import wandb

        wandb.init(project="minigpt", config=vars(args))
    scaler = torch.amp.GradScaler(device_type, enabled=args.amp)
    t0 = time.time()
    for it in range(start, args.steps):
        lr = get_lr(args, it)
        for group in optimizer.param_groups:
            group["lr"] = lr
        x, y = get_batch(data, args)
        x, y = x.to(device_type), y.to(device_type)
        with ctx:
            logits, loss = model(x, y)
        scaler.scale(loss).backward()
        if args.grad_clip != 0.0:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.grad_clip)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        if ema is not None:
            ema.update(raw)
        if master and os.environ.get("MINIGPT_DEBUG"):
            print(f"iter {it}: loss {loss.item():.4f}, lr {lr}, time {time.time() - t0:.1f}s")
        if args.wandb and master:
            wandb.log({"loss": loss.item(), "lr": lr})
        if callback is not None:
            callback(it, loss, raw, optimizer)
    if ddp:
        dist.destroy_process_group()
    return ema.shadow if ema is not None else raw


if __name__ == "__main__":
    main()
