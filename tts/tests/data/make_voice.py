#!/usr/bin/env python3
"""Makes tone.onnx and tone.onnx.json: a voice with the shape of a Piper voice that hums instead of speaking.

Every phoneme is a tone of its own pitch, 256 samples long at length scale 1; what frames a text (numbers 0 to 2) is
silent. Speaker 1 hums an octave above speaker 0. Needs the Python package `onnx`:

    python3 -m venv venv && venv/bin/pip install onnx && venv/bin/python make_voice.py
"""

import json
from pathlib import Path

import onnx
from onnx import TensorProto, helper

RATE_HZ = 22050
FOLDER = Path(__file__).parent
PHONEMES = "_^$ !',.:;?abdefhijklmnoprstuvwzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒˈˌːθᵻ"


def constant(name, kind, shape, values):
    return helper.make_tensor(name, kind, shape, values)


def model():
    node = helper.make_node
    nodes = [
        # Samples per phoneme, from the length scale.
        node("Gather", ["scales", "one"], ["length_scale"], axis=0),
        node("Mul", ["length_scale", "samples_at_one"], ["samples_float"]),
        node("Cast", ["samples_float"], ["samples"], to=TensorProto.INT64),
        node("Mul", ["input_lengths", "samples"], ["total_list"]),
        node("Squeeze", ["total_list", "first_axis"], ["total"]),
        # Which phoneme each sample belongs to.
        node("Range", ["zero", "total", "one"], ["at"]),
        node("Div", ["at", "samples"], ["place"]),
        node("Squeeze", ["input", "first_axis"], ["ids"]),
        node("Gather", ["ids", "place"], ["id"], axis=0),
        node("Cast", ["id"], ["id_float"], to=TensorProto.FLOAT),
        # Its pitch: 150 Hz and 12 more for each number, doubled by speaker 1.
        node("Mul", ["id_float", "step_hz"], ["above_hz"]),
        node("Add", ["above_hz", "base_hz"], ["speaker0_hz"]),
        node("Cast", ["sid"], ["speaker"], to=TensorProto.FLOAT),
        node("Add", ["speaker", "unit"], ["times"]),
        node("Mul", ["speaker0_hz", "times"], ["hz"]),
        node("Cast", ["at"], ["at_float"], to=TensorProto.FLOAT),
        node("Mul", ["at_float", "turn"], ["angle_at_1_hz"]),
        node("Mul", ["hz", "angle_at_1_hz"], ["angle"]),
        node("Sin", ["angle"], ["tone"]),
        # Silent in the frame.
        node("Greater", ["id", "last_of_frame"], ["is_sound"]),
        node("Cast", ["is_sound"], ["gate"], to=TensorProto.FLOAT),
        node("Mul", ["tone", "gate"], ["gated"]),
        node("Mul", ["gated", "loudness"], ["wave"]),
        node("Reshape", ["wave", "wave_shape"], ["output"]),
    ]
    initializers = [
        constant("zero", TensorProto.INT64, [], [0]),
        constant("one", TensorProto.INT64, [], [1]),
        constant("first_axis", TensorProto.INT64, [1], [0]),
        constant("samples_at_one", TensorProto.FLOAT, [], [256.0]),
        constant("step_hz", TensorProto.FLOAT, [], [12.0]),
        constant("base_hz", TensorProto.FLOAT, [], [150.0]),
        constant("unit", TensorProto.FLOAT, [], [1.0]),
        constant("turn", TensorProto.FLOAT, [], [2 * 3.141592653589793 / RATE_HZ]),
        constant("last_of_frame", TensorProto.INT64, [], [2]),
        constant("loudness", TensorProto.FLOAT, [], [0.6]),
        constant("wave_shape", TensorProto.INT64, [4], [1, 1, 1, -1]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tone",
        [
            info("input", TensorProto.INT64, [1, "phonemes"]),
            info("input_lengths", TensorProto.INT64, [1]),
            info("scales", TensorProto.FLOAT, [3]),
            info("sid", TensorProto.INT64, [1]),
        ],
        [info("output", TensorProto.FLOAT, [1, 1, 1, "samples"])],
        initializers,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def description():
    return {
        "audio": {"sample_rate": RATE_HZ},
        "espeak": {"voice": "en-us"},
        "language": {"code": "en_US"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "num_speakers": 2,
        "phoneme_id_map": {phoneme: [number] for number, phoneme in enumerate(PHONEMES)},
    }


if __name__ == "__main__":
    onnx.save(model(), FOLDER / "tone.onnx")
    text = json.dumps(description(), ensure_ascii=False)
    (FOLDER / "tone.onnx.json").write_text(text + "\n")
