"""A real S3 server on this machine for tests, over HTTP, that asks for credentials as a real one does."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import boto3

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@dataclass
class Server:
    """Its address, and keys that it accepts."""

    address: str
    environment: dict[str, str] = field(default_factory=dict)

    def client(self) -> "boto3.client":
        """A plain S3 client, to look behind the program's back."""
        return boto3.client(
            "s3",
            endpoint_url=self.address,
            region_name="us-east-1",
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )


@contextmanager
def serving() -> Iterator[Server]:
    """A server with the bucket `plumbline`, and a user whose keys are in its environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "1000"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(port)
        server = Server(address)
        server.environment = {
            "AWS_ENDPOINT_URL": address,
            "AWS_DEFAULT_REGION": "us-east-1",
            **_keys(address),
        }
        client = server.client()
        client.create_bucket(Bucket="plumbline")
        client.close()
        asking = urllib.request.Request(  # noqa: S310
            f"{address}/moto-api/reset-auth", data=b"0", headers={"content-type": "text/plain"}
        )
        urllib.request.urlopen(asking, timeout=10).close()  # noqa: S310
        yield server
    finally:
        process.kill()
        process.wait()


def _keys(address: str) -> dict[str, str]:
    iam = boto3.client(
        "iam",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="first",
        aws_secret_access_key="first",
    )
    iam.create_user(UserName="plumbline")
    iam.put_user_policy(UserName="plumbline", PolicyName="all", PolicyDocument=json.dumps(POLICY))
    key = iam.create_access_key(UserName="plumbline")["AccessKey"]
    iam.close()
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def _wait(port: int) -> None:
    limit = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < limit, "The S3 server did not start."
            time.sleep(0.1)
        else:
            return
