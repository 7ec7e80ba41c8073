"""huggingface_hub's InferenceClient against `nearstream serve`; the address may be given as an argument."""

import sys

from huggingface_hub import InferenceClient

client = InferenceClient(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080")
for text in client.text_generation("What is streaming?", max_new_tokens=100, stream=True):
    print(text, end="", flush=True)
print()
