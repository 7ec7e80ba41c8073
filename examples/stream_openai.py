"""The openai client against `nearstream serve`; the address may be given as an argument."""

import sys

from openai import OpenAI

address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
client = OpenAI(base_url=f"{address}/v1", api_key="-")
messages = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is a KV cache?"},
]
for chunk in client.chat.completions.create(model="builtin", messages=messages, max_tokens=100, stream=True):
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
