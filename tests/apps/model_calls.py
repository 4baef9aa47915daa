"""The program of the tests that calls language models, by the clients of OpenAI and of Anthropic, sync and asyncio."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

PROMPT: Any = [{"role": "user", "content": "canary-prompt"}]
SERVER = os.environ["MODELS"]
KEY = "canary-key"
ASKED: Any = {"model": "parrot", "messages": PROMPT, "max_tokens": 64, "temperature": 0.5}
SAID: Any = {"model": "parrot", "messages": PROMPT, "max_tokens": 64}


def openai() -> None:
    import openai

    client = openai.OpenAI(api_key=KEY, base_url=f"{SERVER}/v1")
    print(client.chat.completions.create(**ASKED).choices[0].message.content)
    print(client.chat.completions.with_raw_response.create(**ASKED).parse().usage)
    print(client.responses.create(model="parrot", input="canary-prompt", max_output_tokens=32).output_text)
    print(
        client.embeddings.create(model="parrot-embed", input="canary-prompt", encoding_format="float").data[0].embedding
    )
    print(client.chat.completions.create(**{**ASKED, "model": "busy"}).id)
    try:
        client.chat.completions.create(**{**ASKED, "model": "missing"})
    except openai.NotFoundError as error:
        print(type(error).__name__)


def openai_streams() -> None:
    import openai

    client = openai.OpenAI(api_key=KEY, base_url=f"{SERVER}/v1")
    stream = client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True})
    print(type(stream).__name__, len(list(stream)))
    with client.chat.completions.create(**ASKED, stream=True) as stream:
        next(iter(stream))  # the program has seen enough
    dropped = client.chat.completions.create(**ASKED, stream=True)
    del dropped
    print([event.type for event in client.responses.create(model="parrot", input="canary-prompt", stream=True)])


async def openai_in_loop() -> None:
    import openai

    client = openai.AsyncOpenAI(api_key=KEY, base_url=f"{SERVER}/v1")
    print((await client.chat.completions.create(**ASKED)).id)
    stream = await client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True})
    print(type(stream).__name__, len([piece async for piece in stream]))
    async with await client.chat.completions.create(**ASKED, stream=True) as stream:
        await stream.__anext__()
    many = [client.chat.completions.create(**ASKED) for _ in range(8)]
    print(len(await asyncio.gather(*many)))
    await client.close()


def anthropic() -> None:
    import anthropic

    client = anthropic.Anthropic(api_key=KEY, base_url=SERVER)
    print(client.messages.create(**SAID).content[0].text)
    stream = client.messages.create(**SAID, stream=True)
    print(type(stream).__name__, len(list(stream)))
    with client.messages.stream(**SAID) as helped:
        print("".join(helped.text_stream))
    try:
        client.messages.create(**{**SAID, "model": "missing"})
    except anthropic.NotFoundError as error:
        print(type(error).__name__)


async def anthropic_in_loop() -> None:
    import anthropic

    client = anthropic.AsyncAnthropic(api_key=KEY, base_url=SERVER)
    print((await client.messages.create(**SAID)).id)
    print(len([piece async for piece in await client.messages.create(**SAID, stream=True)]))
    async with client.messages.stream(**SAID) as helped:
        print(await helped.get_final_text())
    await client.close()


if __name__ == "__main__":
    run = globals()[sys.argv[1]]
    asyncio.run(run()) if sys.argv[1].endswith("in_loop") else run()
