"""The same no-op behind LitServe: python litserve_noop.py PORT."""

import sys

import litserve


class Noop(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["input"]["prompt"]

    def predict(self, prompt):
        return prompt

    def encode_response(self, output):
        return {"status": "succeeded", "output": output}


if __name__ == "__main__":
    litserve.LitServer(Noop(), accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
