"""Requests that fail for what a database or a server answered, with secrets in the messages."""

import sqlite3

import requests
from fastapi import FastAPI

app = FastAPI()


@app.get("/wrapped")
async def wrapped() -> None:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("select 's3cret' from no_such_'s3cret'")
    except sqlite3.Error as error:
        raise RuntimeError(f"cannot do it: {error} with 's3cret'") from error


@app.get("/call")
async def call() -> None:
    requests.get("http://127.0.0.1:9/path?token=s3cret", timeout=1)
