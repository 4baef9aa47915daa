"""The boto3 program of the tests; AWS is an address of a server that speaks its protocols."""

from __future__ import annotations

import os
import sys
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

CANARY = "canary-4711"


def client(service: str, **options: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=os.environ["AWS_SERVER"],
        region_name="eu-central-1",
        aws_access_key_id="key",
        aws_secret_access_key=CANARY,
        **options,
    )


def services() -> None:
    storage = client("s3")
    print(storage.get_object(Bucket="birds", Key=CANARY)["Body"].read())
    try:
        storage.get_object(Bucket="birds", Key="missing")
    except ClientError as error:
        print(type(error).__name__, error.response["Error"]["Code"])
    print(client("dynamodb").get_item(TableName="parrots", Key={"id": {"S": CANARY}})["Item"]["name"]["S"])
    names = boto3.resource(
        "dynamodb",
        endpoint_url=os.environ["AWS_SERVER"],
        region_name="eu-central-1",
        aws_access_key_id="key",
        aws_secret_access_key=CANARY,
    )
    print(names.Table("parrots").get_item(Key={"id": "1"})["Item"]["name"])


def messages() -> None:
    queue, url = client("sqs"), os.environ["AWS_SERVER"] + "/4711/orders"
    attributes = {f"n{number}": {"DataType": "String", "StringValue": CANARY} for number in range(10)}
    own = {"MessageAttributes": {"mine": {"DataType": "String", "StringValue": "1"}}}
    print(queue.send_message(QueueUrl=url, MessageBody=CANARY, **own)["MessageId"], own["MessageAttributes"].keys())
    queue.send_message(QueueUrl=url, MessageBody="full", MessageAttributes=attributes)
    batch = [{"Id": "a", "MessageBody": "1"}, {"Id": "b", "MessageBody": "2"}]
    print(len(queue.send_message_batch(QueueUrl=url, Entries=batch)["Successful"]), batch[0])
    received = queue.receive_message(QueueUrl=url, MessageAttributeNames=["All"], MaxNumberOfMessages=10)["Messages"]
    print(len(received))
    topic = "arn:aws:sns:eu-central-1:4711:news"
    print(client("sns").publish(TopicArn=topic, Message=CANARY)["MessageId"])


def retries() -> None:
    storage = client("s3", config=Config(retries={"max_attempts": 3, "mode": "standard"}))
    print(storage.list_buckets()["Buckets"])


def outage() -> None:
    storage = client("s3", config=Config(retries={"max_attempts": 1}, connect_timeout=1))
    try:
        storage.list_buckets()
    except EndpointConnectionError as error:
        print(type(error).__name__)


if __name__ == "__main__":
    {"services": services, "messages": messages, "retries": retries, "outage": outage}[sys.argv[1]]()
