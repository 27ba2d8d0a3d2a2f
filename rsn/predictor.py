"""A trained network, ready to predict photos: what ``rsn.load`` gives."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import nn

from rsgt.inputs import InputError
from rsn.data.categories import learnt_categories
from rsn.data.dataset import Store, opened
from rsn.data.resize import resize_antialiased
from rsn.models.contract import Model
from rsn.models.export import check_file, export_model
from rsn.models.frames import FramePrediction, predict_frames
from rsn.models.inference import infer, photo_maps, working_size
from rsn.photos import files, scene
from rsn.photos.camera import Camera, Pair, camera_of, check_camera
from rsn.photos.prediction import Prediction, check_depth
from rsn.photos.reading import OpenedPhoto, Photo, open_photo
from rsn.training.interrupt import explain_shortages
from rsn.training.provenance import commit, versions


class Predictor:
    """A trained network on its device, in evaluation mode.

    Parameters
    ----------
    model, network, fabric
        The model, its network, and where that runs.
    size : (int, int)
        Height and width that the network was trained at; a photo keeps its own shape, its longer side is
        made as long as the longer of these.
    batch_size, workers, superpixels : int
        How frames of a store are read: as in ``rsn.config.DataConfig``.
    flip : bool
        Average with the prediction for the mirrored photo or frame, and say how far the two agree.
    checkpoint : Path
        File that the network comes from.
    settings : mapping
        Settings of its run, by the names of ``rsn.config``'s keys.
    contents : mapping
        Entries of the checkpoint, but for those that hold tensors (``rsn.training.checkpoint``).
    """

    def __init__(
        self,
        model: Model,
        network: nn.Module,
        fabric: Fabric,
        *,
        size: tuple[int, int],
        batch_size: int = 4,
        workers: int = 0,
        superpixels: int = 100,
        flip: bool = False,
        checkpoint: Path,
        settings: Mapping[str, Any],
        contents: Mapping[str, Any],
    ) -> None:
        self.model, self.network, self.fabric = model, fabric.to_device(network), fabric
        self.size, self.flip = size, flip
        self.batch_size, self.workers, self.superpixels = batch_size, workers, superpixels
        self.checkpoint, self.settings, self.contents = checkpoint, settings, contents

    def __repr__(self) -> str:
        height, width = self.size
        weights = sum(weight.numel() for weight in self.network.parameters())
        rule = self.model.guidance_rule
        guided = f" guided by {rule['guidance']}" if rule else ""
        return (
            f"<rsn.Predictor {self.model.name}{guided}: {weights:,} parameters, trained at {height}x{width}, "
            f"epoch {self.contents['epoch']} of {self.checkpoint}, on {self.fabric.device}>"
        )

    def origin(self) -> dict[str, Any]:
        """Say where its predictions come from, for records: model, training, the program that predicts."""
        return {
            "model": self.settings["model"],
            "guidance": self.model.guidance_rule,
            "checkpoint": {"name": self.checkpoint.name}
            | {key: self.contents.get(key) for key in ("epoch", "rsn", "commit", "versions")}
            | {key: self.contents[key] for key in ("sha256",) if key in self.contents},
            "trained_on": self.contents.get("stores", self.contents["store"]),
            "seed": self.settings["seed"],
            "config": self.contents["config"],
            "commit": commit(),
            "versions": versions(),
            "device": str(self.fabric.device),
        }

    @overload
    def predict(  # type: ignore[overload-overlap]  # to a type checker, a path is a sequence of strings
        self,
        photo: Photo,
        *,
        focal: Pair | None = None,
        centre: Pair | None = None,
        fov: float | None = None,
        batch_size: int | None = None,
    ) -> Prediction: ...

    @overload
    def predict(
        self,
        photo: Sequence[Photo],
        *,
        focal: Pair | None = None,
        centre: Pair | None = None,
        fov: float | None = None,
        batch_size: int | None = None,
    ) -> list[Prediction]: ...

    def predict(
        self,
        photo: Photo | Sequence[Photo],
        *,
        focal: Pair | None = None,
        centre: Pair | None = None,
        fov: float | None = None,
        batch_size: int | None = None,
    ) -> Prediction | list[Prediction]:
        """Predict depth and region support of a photo, or of several.

        The network sees a photo in its own shape, its longer side as long as in training: nothing is squeezed
        or turned. Regions are made at that size, and enlarged by nearest neighbour; a region that a smaller
        photo has no pixel of is left out, so that labels stay dense.

        Parameters
        ----------
        photo : path, PIL image, (y, x, 3) uint8 array, or a sequence of these
            Colour; an array is sRGB and upright.
        focal, centre : (float, float), optional
            fx, fy and cx, cy in pixels of the photo; without them ``fov`` counts, then the photo's EXIF,
            then NYU's camera; and the middle.
        fov : float, optional
            Horizontal field of view in degrees.
        batch_size : int, optional
            Most photos of one size that go through the network together; by default as many as in training.
            Convolutions round differently for another number of photos: depth then differs in its sixth
            digit or so (1e-4 m at most, measured). 1 gives the same bits whatever the photos beside it.

        Returns
        -------
        Prediction or list of Prediction
            A list for a sequence, in its order.

        Raises
        ------
        InputError
            Where a photo cannot be read, the model needs more than colour, or what it predicts is no depth.
        """
        self._check_colour_only()
        check_camera(focal, centre, fov)
        single = isinstance(photo, str | Path | Image.Image | np.ndarray) or hasattr(photo, "__fspath__")
        photos: Sequence[Any] = [photo] if single else photo  # type: ignore[assignment]
        opened = [open_photo(one) for one in photos]
        cameras = [camera_of(one.rgb.shape, one.focal, focal=focal, centre=centre, fov=fov) for one in opened]
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, one in enumerate(opened):
            by_shape[one.rgb.shape].append(index)
        most = max(1, batch_size or self.batch_size)
        predictions: dict[int, Prediction] = {}
        for same in by_shape.values():
            for first in range(0, len(same), most):
                part = same[first : first + most]
                found = self._predict([opened[i] for i in part], [cameras[i] for i in part])
                predictions |= dict(zip(part, found, strict=True))
        return predictions[0] if single else [predictions[i] for i in range(len(opened))]

    def predict_files(
        self,
        photos: Sequence[Path],
        out: Path,
        *,
        focal: Pair | None = None,
        centre: Pair | None = None,
        fov: float | None = None,
        points: int = 1_000_000,
        slant: float = scene.SLANT,
        page: bool = True,
    ) -> Iterator[dict[str, Any]]:
        """Predict photos, write for each what ``rsn.photos.writing`` can, and a page about all of them.

        A photo that cannot be predicted does not keep the others from it. What an earlier call wrote is no
        photo and is passed over; a photo given twice is predicted once.

        Parameters
        ----------
        photos, out : Path
            Photos, folders of them or patterns (``rsn.photos.finding.find_photos``), and the folder to write
            to (``rsn.photos.naming.output_names`` says under which names).
        focal, centre, fov
            As for ``predict``.
        points : int
            Most points of a cloud, and vertices of a surface; 0 = neither.
        slant : float
            Degrees at which surfaces end (``rsn.photos.scene.grid_of``); 90 keeps points that fly.
        page : bool
            Write ``predicted.html``, once all is done.

        Yields
        ------
        dict
            Per photo: ``photo``, ``out`` (the stem of its files), ``nearest_m``, ``median_m``,
            ``farthest_m`` (of pixels with depth), ``regions``, ``confidence`` (mean, or None), ``focal``,
            ``focal_source`` (``option``, ``exif`` or ``assumed``: NYU's camera), ``notes``; of one that
            failed ``photo`` and ``error``; of one passed over ``photo`` and ``skipped``.

        Raises
        ------
        InputError
            Where options, model or folder are of no use for any photo.
        OSError
            Where the folder cannot be written to, or the disk is full.
        """
        self._check_colour_only()

        def one(photo: OpenedPhoto, camera: Camera) -> Prediction:
            with explain_shortages("make the photo smaller"):
                return self._predict([photo], [camera])[0]

        yield from files.predict_files(
            one, photos, out, focal=focal, centre=centre, fov=fov, points=points, slant=slant,
            page=self.described() if page else None,
        )  # fmt: skip

    def described(self) -> str:
        """Say in one line what predicts: weights, model, size, and the terms that the weights come with."""
        name = self.contents.get("name") or self.checkpoint.name
        terms = self.contents.get("terms")
        height, width = self.size
        return f"{name}: {self.model.name}, trained at {height}x{width}" + (f"; {terms}" if terms else "")

    def predict_frames(
        self, store: str | Path | Store, frames: Sequence[int], *, full_size: Sequence[str] = ()
    ) -> Iterator[FramePrediction]:
        """Predict frames of a store, one by one, at the store's own size, with what guides the model there.

        Parameters
        ----------
        store, frames
            The store (a path, or an opened one), and the positions of the frames in it.
        full_size : sequence of str
            Arrays of the store to hand out beside the predictions.

        Yields
        ------
        FramePrediction
            Maps (y, x) of a frame: float32 metres and int32 labels, None where the model has none.

        Raises
        ------
        InputError
            At once where the model is guided by categories, and the store has another number of them.
        """
        store = opened(store)
        table, classes = learnt_categories(store, self.contents)
        learnt = self.contents.get("classes", classes)
        if "semantic" in self.model.arrays(training=False) and learnt != classes:
            raise InputError(
                f"{self.checkpoint}: is guided by {learnt} categories, got a store of {classes}: "
                f"{store.path}; give a store with the labels that it learnt from"
            )
        return predict_frames(
            self.fabric,
            self.model.with_classes(classes),
            self.network,
            store,
            frames,
            size=self.size,
            batch_size=self.batch_size,
            workers=self.workers,
            superpixels=self.superpixels,
            full_size=full_size,
            flip=self.flip,
            classes=table,
        )

    def export_onnx(self, path: str | Path) -> float:
        """Write the network as ONNX: colour (B, 3, H, W), float32 of 0-255 in, metres out, at any size.

        Depth is what ``predict`` gives without ``flip``; that and support are before the planes and means of
        regions. Size, unit, model, epoch, version and commit are the file's metadata.

        Returns
        -------
        float
            Largest difference from PyTorch on the images that it was tried with, over the largest value.

        Raises
        ------
        InputError
            Where the file cannot be written, or the network needs more than colour or searches for regions.
        """
        path = Path(path)
        check_file(path)
        self._check_colour_only()
        told = {key: str(self.contents.get(key)) for key in ("epoch", "rsn", "commit", "store")}
        try:
            return export_model(self.model, self.network, path, size=self.size, metadata=told)
        finally:
            self.fabric.to_device(self.network)

    def _check_colour_only(self) -> None:
        """Refuse a model whose guidance comes from a store, where there is colour alone."""
        rule = self.model.guidance_rule
        if rule is not None and self.model.arrays(training=False):
            raise InputError(
                f"this {self.model.name} is guided by {rule['guidance']} of a store, which a photo does not "
                "have; give a checkpoint of generation, rsn or clustering"
            )

    def _predict(self, photos: Sequence[OpenedPhoto], cameras: Sequence[Camera]) -> list[Prediction]:
        """Predict photos of one size together."""
        shape = (photos[0].rgb.shape[0], photos[0].rgb.shape[1])
        size = working_size(shape, self.size)
        rgb = torch.from_numpy(np.stack([photo.rgb for photo in photos])).permute(0, 3, 1, 2)
        image = resize_antialiased(rgb, size).contiguous()
        with self.fabric.autocast():
            batch = {"rgb": self.fabric.to_device(image)}
            found = infer(self.model, self.network, batch, size, flip=self.flip)
        predictions = []
        for index, (photo, camera) in enumerate(zip(photos, cameras, strict=True)):
            maps = photo_maps(found, image, index, shape)
            notes = (*photo.notes, *check_depth(maps.depth))
            predictions.append(Prediction(**maps._asdict(), camera=camera, notes=notes))
        return predictions
