"""PushT demonstrations (Chi et al. 2023) as an HDF5 file in the D4RL layout.

    /usr/bin/python3 examples/pusht/pusht_to_hdf5.py [OUT.hdf5]

Reads $DMC_DATA/pusht/npy (default ../shared/data): state (25650,5) = agent x, y, block x, y, angle; action (25650,2) =
the point, in pixels, the agent is pulled to; episode_ends (206). The set has no rewards, so rewards are 0.
"""
import os
import pathlib
import sys

import h5py
import numpy


def main():
    source = pathlib.Path(os.environ.get("DMC_DATA", "../shared/data")) / "pusht/npy"
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/pusht/pusht.hdf5")
    state = numpy.load(source / "state.npy").astype(numpy.float32)
    action = numpy.load(source / "action.npy").astype(numpy.float32)
    ends = numpy.load(source / "episode_ends.npy")
    if not (len(state) == len(action) == ends[-1]):
        sys.exit(f"{source}: {len(state)} states, {len(action)} actions, the last episode ends at {ends[-1]}")
    timeouts = numpy.zeros(len(state), numpy.uint8)
    timeouts[ends - 1] = 1
    out.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(out, "w") as f:
        for name, values in [("observations", state), ("actions", action), ("timeouts", timeouts),
                             ("rewards", numpy.zeros(len(state), numpy.float32)),
                             ("terminals", numpy.zeros(len(state), numpy.uint8))]:
            f.create_dataset(name, data=values, compression="gzip")
    print(f"{out}: {len(ends)} episodes, {len(state)} steps")


main()
