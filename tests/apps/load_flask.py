"""Flask with five queries a request."""

from flask import Flask

from tests.apps.load_store import five

app = Flask(__name__)


@app.get("/queries")
def queries() -> str:
    return str(five())
