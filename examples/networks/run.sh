#!/bin/sh
# Every network at its published size on real data: a short training each, and what became of the loss. About 6 minutes on one
# core. Prints the table of docs/results.md.
#
#   DMC_DATA=../shared/data sh examples/networks/run.sh [name ...]        (from the root of the repository, after `make`)
#
# PushT for Diffusion Policy's networks, recorded hopper for the others; names are those of examples/configs/networks.
set -eu

DMC_DATA=${DMC_DATA:-../shared/data}
DMC=${DMC:-build/release/dmc}
PYTHON=${PYTHON:-/usr/bin/python3}
OUT=${OUT:-build/networks}
HOPPER=$DMC_DATA/d4rl/generated/hopper-medium-sample.hdf5
export DMC_DATA

if [ ! -d "$DMC_DATA/pusht/npy" ]; then
    echo "run.sh: no data in $DMC_DATA; set DMC_DATA to the folder that holds pusht/ and d4rl/" >&2
    exit 3
fi
mkdir -p "$OUT"

# The largest networks get fewer updates, so that all of it stays a matter of minutes.
updates() {
    case $1 in
        diffusion-policy-unet) echo 40 ;;
        diffuser* | decision-diffuser | dit-value | diffusion-policy-*) echo 200 ;;
        *) echo 1000 ;;
    esac
}

[ $# -gt 0 ] || set -- $(cd examples/configs/networks && ls *.yaml | sed 's/\.yaml$//')
[ -f "$OUT/pusht.hdf5" ] || "$PYTHON" examples/pusht/pusht_to_hdf5.py "$OUT/pusht.hdf5"

for name in "$@"; do
    data=$HOPPER
    case $name in diffusion-policy-*) data=$OUT/pusht.hdf5 ;; esac
    steps=$(updates "$name")
    "$DMC" train --config "examples/configs/networks/$name.yaml" --data "$data" --out "$OUT/$name.dmc" train.steps="$steps" \
        train.ema=0.98 data.held_out=0.1 run.report_every=$((steps / 10))
done
"$PYTHON" examples/networks/table.py "$OUT" "$@"
