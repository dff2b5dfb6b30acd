"""PushT demonstrations with their images (Chi et al. 2023) as an HDF5 file: the D4RL layout and images/image beside it.

    /usr/bin/python3 examples/pusht/pusht_images_to_hdf5.py [OUT.hdf5 [EPISODES]]

Reads $DMC_DATA/pusht/pusht_cchi_v7_replay.zarr (default ../shared/data), a zarr of version 2 with blosc, of which it decodes
the first EPISODES (default 40) chunk by chunk: img (25650,96,96,3) floats 0..255, which are bytes in truth; state, of which the
agent's position (2) is the observation; action (2). The set has no rewards, so rewards are 0. Needs python3-numcodecs and
python3-h5py. Exit status 3: there are no data.
"""
import json
import os
import pathlib
import sys

import h5py
import numcodecs
import numpy


class Array:
    """Rows of one array of the zarr."""

    def __init__(self, folder):
        about = json.loads((folder / ".zarray").read_text())
        self.folder, self.shape, self.chunks = folder, about["shape"], about["chunks"]
        self.dtype, self.codec = numpy.dtype(about["dtype"]), numcodecs.get_codec(about["compressor"])
        if about["order"] != "C" or about["filters"] or self.chunks[1:] != self.shape[1:]:
            sys.exit(f"{folder}: must be in C order, without filters, in chunks of whole rows")

    def blocks(self, rows):
        """Blocks of rows, the first `rows` in all. A last chunk is stored filled up."""
        for first in range(0, rows, self.chunks[0]):
            name = ".".join([str(first // self.chunks[0])] + ["0"] * (len(self.shape) - 1))
            data = self.codec.decode((self.folder / name).read_bytes())
            yield numpy.frombuffer(data, self.dtype).reshape(self.chunks)[:rows - first]

    def rows(self, n):
        return numpy.concatenate(list(self.blocks(n)))


def main():
    source = pathlib.Path(os.environ.get("DMC_DATA", "../shared/data")) / "pusht/pusht_cchi_v7_replay.zarr"
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/pusht/pusht-images.hdf5")
    if not source.is_dir():
        print(f"{source}: not there", file=sys.stderr)
        sys.exit(3)
    ends = Array(source / "meta/episode_ends")
    ends = ends.rows(ends.shape[0])[:int(sys.argv[2]) if len(sys.argv) > 2 else 40]
    n = int(ends[-1])
    data = {name: Array(source / "data" / name) for name in ("img", "state", "action")}
    timeouts = numpy.zeros(n, numpy.uint8)
    timeouts[ends - 1] = 1
    out.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(out, "w") as f:
        for name, values in [("observations", data["state"].rows(n)[:, :2]), ("actions", data["action"].rows(n)),
                             ("timeouts", timeouts), ("rewards", numpy.zeros(n, numpy.float32)),
                             ("terminals", numpy.zeros(n, numpy.uint8))]:
            f.create_dataset(name, data=values.astype(numpy.uint8 if values.dtype == numpy.uint8 else numpy.float32),
                             compression="gzip")
        images = f.create_dataset("images/image", (n, *data["img"].shape[1:]), numpy.uint8, compression="gzip",
                                  chunks=(16, *data["img"].shape[1:]))
        at = 0
        for block in data["img"].blocks(n):
            if block.min() < 0 or block.max() > 255:
                sys.exit(f"{source}: pixels {block.min()}..{block.max()}, must be 0..255")
            images[at:at + len(block)] = block.round().astype(numpy.uint8)
            at += len(block)
    print(f"{out}: {len(ends)} episodes, {n} steps, images {data['img'].shape[1:]}")


main()
