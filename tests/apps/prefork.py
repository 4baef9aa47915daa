"""A WSGI and an ASGI application that answer with the process that serves them, and make one query a request."""

from __future__ import annotations

import os
import sqlite3

from fastapi import FastAPI
from flask import Flask

cursor = sqlite3.connect(":memory:", check_same_thread=False).cursor()
wsgi = Flask(__name__)
asgi = FastAPI()


@wsgi.get("/pid")
def flask_pid() -> str:
    cursor.execute("select 1")
    return str(os.getpid())


@asgi.get("/pid")
def fastapi_pid() -> int:
    return os.getpid()
