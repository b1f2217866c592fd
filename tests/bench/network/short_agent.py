"""An agent on port 8190 of this machine that says yes to everything, at once: /v1/models and /v1/chat/completions."""
import http.server
import json


class Agent(http.server.BaseHTTPRequestHandler):
    def answer(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer("application/json", json.dumps({"object": "list", "data": [{"id": "short", "object": "model"}]}).encode())

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunk = lambda delta, end: "data: " + json.dumps(
            {"id": "1", "object": "chat.completion.chunk", "model": "short",
             "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}) + "\n\n"
        body = chunk({"role": "assistant", "content": "Yes."}, None) + chunk({}, "stop") + "data: [DONE]\n\n"
        self.answer("text/event-stream", body.encode())

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", 8190), Agent).serve_forever()
