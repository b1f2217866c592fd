#!/bin/sh
# From nothing to the prosody rule's table: `make.sh FOLDER [CLIPS]`. FOLDER takes the clips; needs what README.md lists.
set -eu
folder=$1
clips=${2:-312}
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
cd "$here"
# Two halves beside each other, each with a seed of its own.
"$python" generate.py "$folder/1" "$clips" 1 &
"$python" generate.py "$folder/2" "$clips" 2
wait
cd "$here/../../.."
for half in 1 2; do
    cargo run --quiet -p offhook-asr --example end_of_turn_measure -- "$folder/$half" > "$folder/$half.tsv"
done
cd "$here"
"$python" fit.py ../../src/end_of_turn/table.rs "$folder/1.tsv" "$folder/2.tsv"
cargo fmt -p offhook-asr
