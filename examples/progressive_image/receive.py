"""Receives the image of model.py from an endpoint, and writes down each part as it comes."""

import json
import sys
import time
from pathlib import Path

import boto3

endpoint, path = sys.argv[1], Path(sys.argv[2])
runtime = boto3.client("sagemaker-runtime")
answer = runtime.invoke_endpoint_with_response_stream(
    EndpointName=endpoint, ContentType="application/json", Body=json.dumps({"width": 320, "height": 240})
)
began, parts, size = time.perf_counter(), 0, 0
with path.open("wb") as file:
    for event in answer["Body"]:
        data = event["PayloadPart"]["Bytes"]
        file.write(data)
        file.flush()  # a viewer that follows the file sees the image grow
        parts, size = parts + 1, size + len(data)
        print(f"{time.perf_counter() - began:6.2f} s  part {parts}, {size} bytes")
print(f"{path}: {size} bytes of {answer['ContentType']} in {parts} parts")
