#!/bin/sh
# Real data: convert, train, evaluate. About 3 minutes on one core. Prints the tables of docs/howto/real-data.md.
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

for name in pusht hopper hopper-planner; do
    echo
    echo "== $name"
    cat "$OUT/$name.txt"
done
