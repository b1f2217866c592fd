"""Writes two models of a few hundred bytes in Smart Turn's format, for the tests of the way to a model: `python tiny.py`.

They know nothing of turns. Both take the mean of the features of the last 100 ms; `tiny_probability.onnx` gives its
sigmoid under the name `logits`, as the real ones do, `tiny_log_odds.onnx` four times the mean less two, as a logit.
"""
import onnx
from onnx import TensorProto, helper, numpy_helper
import numpy as np


def constant(name, values, kind=np.int64):
    return numpy_helper.from_array(np.array(values, kind), name)


def write(path, last, extra):
    nodes = [helper.make_node("Slice", ["input_features", "from", "to", "axis"], ["tail"]),
             helper.make_node("ReduceMean", ["tail"], ["mean"], axes=[1, 2], keepdims=0)] + last
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info("input_features", TensorProto.FLOAT, [1, 80, 800])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1])],
        [constant("from", [790]), constant("to", [800]), constant("axis", [2]), constant("shape", [1, 1])] + extra)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


write("tiny_probability.onnx", [helper.make_node("Sigmoid", ["mean"], ["p"]),
                                helper.make_node("Reshape", ["p", "shape"], ["logits"])], [])
write("tiny_log_odds.onnx", [helper.make_node("Mul", ["mean", "four"], ["m"]), helper.make_node("Sub", ["m", "two"], ["s"]),
                             helper.make_node("Reshape", ["s", "shape"], ["logits"])],
      [constant("four", [4.], np.float32), constant("two", [2.], np.float32)])
