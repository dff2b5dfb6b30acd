#!/bin/sh
# Real data: convert, train, evaluate. About 3 minutes on one core, and 2 more for the policy that sees. Prints the tables of
# docs/howto/real-data.md, and what was left out because its data or a package is missing.
#
#   DMC_DATA=../shared/data sh examples/pusht/run.sh        (from the root of the repository, after `make`)
set -eu

DMC_DATA=${DMC_DATA:-../shared/data}
DMC=${DMC:-build/release/dmc}
PYTHON=${PYTHON:-/usr/bin/python3}
OUT=${OUT:-build/real-data}
HOPPER=$DMC_DATA/d4rl/generated/hopper-medium-sample.hdf5
export DMC_DATA

if [ ! -d "$DMC_DATA/pusht/npy" ]; then
    echo "run.sh: no data in $DMC_DATA; set DMC_DATA to the folder that holds pusht/ and d4rl/" >&2
    exit 3
fi
mkdir -p "$OUT"

# train_and_eval NAME CONFIG DATA
train_and_eval() {
    "$DMC" train --config "$2" --data "$3" --out "$OUT/$1.dmc"
    "$DMC" eval --config "$2" --data "$3" --model "$OUT/$1.dmc" >"$OUT/$1.txt"
}

"$PYTHON" examples/pusht/pusht_to_hdf5.py "$OUT/pusht.hdf5"
train_and_eval pusht examples/configs/pusht.yaml "$OUT/pusht.hdf5"
train_and_eval hopper examples/configs/hopper.yaml "$HOPPER"
train_and_eval hopper-planner examples/configs/hopper-planner.yaml "$HOPPER"

# Images are decoded by python3-numcodecs, of which nothing else here knows.
tables="pusht hopper hopper-planner"
skipped=0
if [ ! -d "$DMC_DATA/pusht/pusht_cchi_v7_replay.zarr" ]; then
    echo "skipped: pusht-image, no images in $DMC_DATA/pusht"
    skipped=1
elif ! "$PYTHON" -c "import numcodecs" 2>/dev/null; then
    echo "skipped: pusht-image, python3-numcodecs is not installed (make deps-dev)"
    skipped=1
else
    "$PYTHON" examples/pusht/pusht_images_to_hdf5.py "$OUT/pusht-images.hdf5"
    train_and_eval pusht-image examples/configs/pusht-image.yaml "$OUT/pusht-images.hdf5"
    tables="$tables pusht-image"
fi

for name in $tables; do
    echo
    echo "== $name"
    cat "$OUT/$name.txt"
done
echo "$skipped skipped"
