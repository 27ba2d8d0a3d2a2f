"""Slow, obvious twins of what rsn computes fast: loops over regions and over pixels, all in float64."""

import numpy as np
import torch


def region_loss(prediction, target, region, *, log=False, variance_weight=0.0):
    """Loop over images and labels; prediction and target (B, 1, H, W), region (B, H, W)."""
    images = []
    for p, q, labels in zip(prediction[:, 0], target[:, 0], region, strict=True):
        losses = []
        for label in labels.unique():
            mask = (labels == label) & (q > 0)
            if label == 0 or not mask.any():
                continue
            if log:
                squared = (torch.log(p[mask] + 1e-6) - torch.log(q[mask] + 1e-6)) ** 2
            else:
                squared = (p[mask] - q[mask]) ** 2
            loss = squared.mean()
            if variance_weight:
                loss = loss + variance_weight * squared.var(correction=0) / squared.mean()
            losses.append(loss)
        if losses:
            images.append(torch.stack(losses).mean())
    return torch.stack(images).mean()


def discriminative_loss(embedding, region, *, pull_margin=0.16, push_margin=0.34):
    """Loop over images, labels and pairs of labels; embedding (B, C, H, W), region (B, H, W)."""
    terms = []
    for pixels, labels in zip(embedding, region, strict=True):
        means, pulls = [], []
        for label in labels.unique():
            if label == 0:
                continue
            inside = pixels[:, labels == label]
            mean = inside.mean(dim=1)
            away = (inside - mean[:, None]).norm(dim=0)
            pulls.append(torch.clamp(away - pull_margin, min=0).square().mean())
            means.append(mean)
        if not means:
            continue
        pushes = [
            torch.clamp(2 * push_margin - (a - b).norm(), min=0).square()
            for i, a in enumerate(means)
            for j, b in enumerate(means)
            if i != j
        ]
        push = torch.stack(pushes).mean() if pushes else torch.zeros((), dtype=embedding.dtype)
        sizes = torch.stack([mean.norm() for mean in means])
        terms.append((torch.stack(pulls).mean(), push, sizes.mean()))
    return tuple(torch.stack(term).mean() for term in zip(*terms, strict=True))


def mean_shift(embedding, *, bandwidth=0.16, max_steps=10, min_pixels=100, max_regions=70):
    """Every step looks at every pixel; embedding (C, H, W) -> labels (H, W)."""
    shape = embedding.shape[1:]
    points = embedding.reshape(len(embedding), -1).astype(np.float64)
    count = points.shape[1]

    def within(mode):
        return ((points - mode[:, None]) ** 2).sum(axis=0) <= bandwidth**2

    step = round(count * (5**0.5 - 1) / 2)
    while np.gcd(step, count) != 1:
        step += 1
    labels, modes, fruitless = np.zeros(count, int), [], 0
    for visit in range(count):
        seed = visit * step % count
        if labels[seed]:
            continue
        if len(modes) == max_regions or fruitless == 20:
            break
        mode = points[:, seed]
        for _ in range(max_steps):
            mask = within(mode)
            if not mask.any():
                break
            before, mode = mode, points[:, mask].mean(axis=1)
            if np.linalg.norm(mode - before) <= 1e-3 * bandwidth:
                break
        mask = within(mode)
        new = mask & (labels == 0)
        gain = 0
        if mask.sum() >= min_pixels:
            if new.sum() > 0.8 * mask.sum() and new.sum() > min_pixels:
                modes.append(mode)
                labels[new] = len(modes)
                gain = new.sum()
            elif labels[mask].any():
                overlaps = [np.sum(labels[mask] == label + 1) for label in range(len(modes))]
                labels[new] = 1 + int(np.argmax(overlaps))
                gain = new.sum()
        fruitless = 0 if gain >= min_pixels else fruitless + 1
    for pixel in np.flatnonzero(labels == 0):
        distances = [np.sum((points[:, pixel] - mode) ** 2) for mode in modes]
        labels[pixel] = 1 + int(np.argmin(distances)) if modes else 1
    return labels.reshape(shape)


def region_errors(prediction, reference, region):
    """Loop over labels; maps (y, x)."""
    rmse, variance = [], []
    for label in np.unique(region[(region > 0) & (reference > 0)]):
        mask = (region == label) & (reference > 0)
        error = prediction[mask].astype(float) - reference[mask].astype(float)
        rmse.append(np.sqrt(np.mean(error**2)))
        variance.append(np.var(error))
    return {"rmse": np.mean(rmse), "variance": np.mean(variance)}


def covering(predicted, truth):
    """Loop over pairs of regions; maps (y, x)."""
    total = 0.0
    for label in np.unique(truth[truth > 0]):
        inside = truth == label
        best = 0.0
        for other in np.unique(predicted):
            rival = (predicted == other) & (truth > 0)
            best = max(best, np.sum(inside & rival) / np.sum(inside | rival))
        total += best * np.sum(inside)
    return total / np.sum(truth > 0)
