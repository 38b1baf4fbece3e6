"""Asks a deployment what an application would ask it, with the `openai` package, and checks every answer.

usage: openai_client.py BASE_URL        for example http://localhost:9000
"""

import concurrent.futures
import json
import sys
import urllib.error
import urllib.request

import openai

BASE = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://localhost:9000"
client = openai.OpenAI(base_url=BASE + "/v1", api_key="not-needed", max_retries=0, timeout=120)

checks = []


def check(function):
    """Registers a check; its docstring is the sentence that must be true."""
    checks.append(function)
    return function


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def equal(actual, expected, what):
    expect(actual == expected, f"{what}: expected {expected!r}, got {actual!r}")


def model():
    return client.models.list().data[0].id


MODEL = model()
GREEDY = {"model": MODEL, "temperature": 0}
USER = [{"role": "user", "content": "Where does the river go in winter?"}]


def read_completion_stream(**arguments):
    """The texts by choice index, the finish reasons, the usage, and the chunks themselves."""
    texts, reasons, usage, chunks = {}, {}, None, []
    for chunk in client.completions.create(stream=True, **arguments):
        chunks.append(chunk)
        if chunk.usage is not None:
            usage = chunk.usage
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.text
            if choice.finish_reason is not None:
                expect(choice.index not in reasons, f"choice {choice.index} finished twice")
                reasons[choice.index] = choice.finish_reason
    return texts, reasons, usage, chunks


def read_chat_stream(**arguments):
    texts, reasons, usage, chunks = {}, {}, None, []
    for chunk in client.chat.completions.create(stream=True, **arguments):
        chunks.append(chunk)
        if chunk.usage is not None:
            usage = chunk.usage
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            if choice.finish_reason is not None:
                expect(choice.index not in reasons, f"choice {choice.index} finished twice")
                reasons[choice.index] = choice.finish_reason
    return texts, reasons, usage, chunks


def one_identity(chunks):
    equal(len({chunk.id for chunk in chunks}), 1, "ids in one stream")
    equal(len({chunk.created for chunk in chunks}), 1, "created times in one stream")
    equal({chunk.model for chunk in chunks}, {MODEL}, "models in one stream")


def usage_adds_up(usage, completion_tokens=None):
    expect(usage is not None, "there is no usage")
    equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "total tokens")
    expect(usage.prompt_tokens > 0, "no prompt tokens were counted")
    if completion_tokens is not None:
        equal(usage.completion_tokens, completion_tokens, "completion tokens")


# --- completions --------------------------------------------------------------------------------------------------------


@check
def a_completion_has_text_and_usage():
    answer = client.completions.create(prompt="The night is quick", max_tokens=12, extra_body={"ignore_eos": True}, **GREEDY)
    equal(answer.object, "text_completion", "object")
    equal(len(answer.choices), 1, "choices")
    equal(answer.choices[0].finish_reason, "length", "finish reason")
    expect(answer.choices[0].text, "the text is empty")
    usage_adds_up(answer.usage, 12)


@check
def a_completion_without_max_tokens_has_the_default_length():
    answer = client.completions.create(prompt="A story about water", extra_body={"ignore_eos": True}, **GREEDY)
    usage_adds_up(answer.usage, 16)


@check
def a_completion_of_one_token_has_one_token():
    for stream in (False, True):
        arguments = dict(prompt="One token", max_tokens=1, extra_body={"ignore_eos": True}, **GREEDY)
        if stream:
            _, reasons, usage, chunks = read_completion_stream(stream_options={"include_usage": True}, **arguments)
            one_identity(chunks)
            equal(reasons, {0: "length"}, "finish reasons")
        else:
            usage = client.completions.create(**arguments).usage
        usage_adds_up(usage, 1)


@check
def a_streamed_completion_equals_the_whole_one():
    arguments = dict(prompt="The bright garden", max_tokens=40, **GREEDY)
    whole = client.completions.create(**arguments)
    texts, reasons, usage, chunks = read_completion_stream(**arguments)
    one_identity(chunks)
    equal(texts, {0: whole.choices[0].text}, "text")
    equal(reasons, {0: whole.choices[0].finish_reason}, "finish reasons")
    expect(usage is None, "usage was sent, but not asked for")


@check
def include_usage_adds_one_last_chunk():
    arguments = dict(prompt="The careful engine", max_tokens=20, extra_body={"ignore_eos": True}, **GREEDY)
    _, _, usage, chunks = read_completion_stream(stream_options={"include_usage": True}, **arguments)
    equal(chunks[-1].choices, [], "choices of the last chunk")
    equal(sum(chunk.usage is not None for chunk in chunks), 1, "chunks with usage")
    usage_adds_up(usage, 20)
    whole = client.completions.create(**arguments)
    equal(usage.prompt_tokens, whole.usage.prompt_tokens, "prompt tokens, streamed and whole")


@check
def a_list_of_prompts_gives_one_choice_each_in_order():
    prompts = ["The first letter", "A second window", "Some third island"]
    arguments = dict(max_tokens=10, extra_body={"ignore_eos": True}, **GREEDY)
    single = [client.completions.create(prompt=prompt, **arguments).choices[0].text for prompt in prompts]
    whole = client.completions.create(prompt=prompts, **arguments)
    equal([choice.index for choice in whole.choices], [0, 1, 2], "indices")
    equal([choice.text for choice in whole.choices], single, "texts")
    usage_adds_up(whole.usage, 30)
    texts, reasons, _, chunks = read_completion_stream(prompt=prompts, **arguments)
    one_identity(chunks)
    equal(texts, dict(enumerate(single)), "streamed texts")
    equal(reasons, {0: "length", 1: "length", 2: "length"}, "finish reasons")


@check
def token_ids_are_a_prompt():
    answer = client.completions.create(prompt=[72, 336, 1029, 271], max_tokens=5, extra_body={"ignore_eos": True}, **GREEDY)
    equal(answer.usage.prompt_tokens, 4, "prompt tokens")
    usage_adds_up(answer.usage, 5)


@check
def n_gives_n_choices():
    arguments = dict(model=MODEL, prompt="A music box", max_tokens=8, n=3, temperature=1, seed=7, extra_body={"ignore_eos": True})
    whole = client.completions.create(**arguments)
    equal(sorted(choice.index for choice in whole.choices), [0, 1, 2], "indices")
    usage_adds_up(whole.usage, 24)
    texts, reasons, usage, chunks = read_completion_stream(stream_options={"include_usage": True}, **arguments)
    one_identity(chunks)
    equal(sorted(texts), [0, 1, 2], "streamed indices")
    equal(len(reasons), 3, "finish reasons")
    usage_adds_up(usage, 24)


@check
def logprobs_of_a_completion_have_one_entry_a_token():
    arguments = dict(prompt="Silver mountain", max_tokens=6, logprobs=2, extra_body={"ignore_eos": True}, **GREEDY)
    whole = client.completions.create(**arguments).choices[0].logprobs
    for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
        equal(len(getattr(whole, name)), 6, name)
    streamed = []
    for chunk in client.completions.create(stream=True, **arguments):
        for choice in chunk.choices:
            if choice.logprobs is not None:
                streamed += choice.logprobs.tokens
    equal(streamed, whole.tokens, "tokens of the stream")


@check
def a_stop_string_ends_the_text_before_it():
    arguments = dict(prompt="A paper about summer", max_tokens=60, extra_body={"ignore_eos": True}, **GREEDY)
    free = client.completions.create(**arguments).choices[0].text
    words = free.split()
    expect(len(words) > 3, f"the text is too short for this check: {free!r}")
    stop = words[2]
    stopped = client.completions.create(stop=[stop], **arguments).choices[0]
    equal(stopped.finish_reason, "stop", "finish reason")
    equal(stopped.text, free[: free.index(stop)], "text")
    texts, reasons, _, _ = read_completion_stream(stop=[stop], **arguments)
    equal(texts, {0: stopped.text}, "streamed text")
    equal(reasons, {0: "stop"}, "streamed finish reason")


# --- chat ---------------------------------------------------------------------------------------------------------------


@check
def a_chat_answer_is_an_assistant_message():
    answer = client.chat.completions.create(messages=USER, max_tokens=12, extra_body={"ignore_eos": True}, **GREEDY)
    equal(answer.object, "chat.completion", "object")
    equal(answer.choices[0].message.role, "assistant", "role")
    expect(answer.choices[0].message.content, "the message is empty")
    equal(answer.choices[0].finish_reason, "length", "finish reason")
    usage_adds_up(answer.usage, 12)


@check
def a_streamed_chat_equals_the_whole_one_and_begins_with_the_role():
    arguments = dict(messages=USER, max_tokens=40, **GREEDY)
    whole = client.chat.completions.create(**arguments)
    texts, reasons, _, chunks = read_chat_stream(**arguments)
    one_identity(chunks)
    equal(chunks[0].object, "chat.completion.chunk", "object")
    equal(chunks[0].choices[0].delta.role, "assistant", "role of the first chunk")
    equal(texts, {0: whole.choices[0].message.content}, "text")
    equal(reasons, {0: whole.choices[0].finish_reason}, "finish reasons")


@check
def chat_counts_max_completion_tokens_and_include_usage():
    _, _, usage, chunks = read_chat_stream(
        messages=USER, max_completion_tokens=9, stream_options={"include_usage": True}, extra_body={"ignore_eos": True}, **GREEDY
    )
    equal(chunks[-1].choices, [], "choices of the last chunk")
    usage_adds_up(usage, 9)


@check
def chat_logprobs_have_the_chat_shape():
    answer = client.chat.completions.create(
        messages=USER, max_tokens=5, logprobs=True, top_logprobs=2, extra_body={"ignore_eos": True}, **GREEDY
    )
    content = answer.choices[0].logprobs.content
    equal(len(content), 5, "entries")
    for entry in content:
        equal(len(entry.top_logprobs), 2, "alternatives")
        expect(entry.logprob <= 0, f"log probability {entry.logprob} of {entry.token!r}")
        expect(entry.bytes is None or all(0 <= byte < 256 for byte in entry.bytes), f"bytes of {entry.token!r}")


@check
def tools_reach_the_engine():
    tool = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a town, in words.",
            "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
        },
    }
    arguments = dict(messages=USER, max_tokens=8, tool_choice="none", extra_body={"ignore_eos": True}, **GREEDY)
    plain = client.chat.completions.create(messages=USER, max_tokens=8, extra_body={"ignore_eos": True}, **GREEDY)
    answer = client.chat.completions.create(tools=[tool], **arguments)
    usage_adds_up(answer.usage, 8)
    # The chat template writes tools into the prompt: a proxy that drops them gives the plain prompt's count.
    expect(
        answer.usage.prompt_tokens > plain.usage.prompt_tokens,
        f"tools did not reach the prompt: {answer.usage.prompt_tokens} and {plain.usage.prompt_tokens} prompt tokens",
    )
    texts, _, _, _ = read_chat_stream(tools=[tool], **arguments)
    equal(texts, {0: answer.choices[0].message.content}, "streamed text with tools")


@check
def text_outside_ascii_arrives_whole():
    messages = [{"role": "user", "content": "Grüße, 日本語と한국어 🤖🌈 \u2028 \"quoted\" \\ end"}]
    arguments = dict(messages=messages, max_tokens=60, **GREEDY)
    whole = client.chat.completions.create(**arguments).choices[0].message.content
    texts, _, _, _ = read_chat_stream(**arguments)
    equal(texts, {0: whole}, "text")


# --- errors -------------------------------------------------------------------------------------------------------------


def error_of(call):
    try:
        call()
    except openai.APIStatusError as error:
        return error
    raise AssertionError("no error was raised")


def openai_shape(body, code):
    """The error object, as vLLM and OpenAI write it."""
    expect(isinstance(body, dict), f"the error has no JSON object: {body!r}")
    for key in ("message", "type", "param", "code"):
        expect(key in body, f"the error has no {key!r}: {body!r}")
    expect(isinstance(body["message"], str) and body["message"], f"the error has no message: {body!r}")
    equal(body["code"], code, "code in the error")


@check
def an_unknown_model_is_a_404():
    for call in (
        lambda: client.completions.create(model="no-such-model", prompt="Hello", max_tokens=1),
        lambda: client.chat.completions.create(model="no-such-model", messages=USER, max_tokens=1),
        lambda: list(client.chat.completions.create(model="no-such-model", messages=USER, max_tokens=1, stream=True)),
    ):
        error = error_of(call)
        expect(isinstance(error, openai.NotFoundError), f"{type(error).__name__} instead of NotFoundError")
        openai_shape(error.body, 404)


@check
def a_bad_parameter_is_a_400():
    for stream in (False, True):
        for bad in ({"max_tokens": -1}, {"max_tokens": 10_000_000}):
            error = error_of(lambda: client.completions.create(prompt="Hello", stream=stream, **bad, **GREEDY))
            expect(isinstance(error, openai.BadRequestError), f"{type(error).__name__} instead of BadRequestError")
            openai_shape(error.body, 400)


def raw(path, data=None, method=None, content_type="application/json"):
    request = urllib.request.Request(BASE + path, data=data, method=method, headers={"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@check
def bad_json_is_a_400_in_the_openai_shape():
    for text in (b"{bad", b"", b"[1", b'{"model":', b"\xff\xfe", b"{" * 5000):
        status, body = raw("/v1/completions", text)
        equal(status, 400, f"status for {text[:20]!r}")
        openai_shape(json.loads(body)["error"], 400)


@check
def an_unknown_path_is_a_404_in_the_openai_shape():
    status, body = raw("/no/such/path")
    equal(status, 404, "status")
    openai_shape(json.loads(body)["error"], 404)


# --- together -----------------------------------------------------------------------------------------------------------


@check
def many_requests_at_once_give_the_answers_of_one_at_a_time():
    prompts = [f"{word} {number}" for word in ("river", "garden", "letter", "window") for number in range(8)]
    arguments = dict(max_tokens=24, extra_body={"ignore_eos": True}, **GREEDY)

    def streamed(prompt):
        return read_completion_stream(prompt=prompt, **arguments)[0][0]

    with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
        together = list(pool.map(streamed, prompts))
    alone = [client.completions.create(prompt=prompt, **arguments).choices[0].text for prompt in prompts]
    equal(together, alone, "texts")


@check
def a_client_that_leaves_in_the_middle_disturbs_nobody():
    arguments = dict(prompt="A long story " * 200, max_tokens=400, extra_body={"ignore_eos": True}, **GREEDY)
    for count in (0, 1, 3):
        stream = client.completions.create(stream=True, **arguments)
        for _, _ in zip(range(count), stream):
            pass
        stream.close()
    answer = client.completions.create(prompt="Still there", max_tokens=4, extra_body={"ignore_eos": True}, **GREEDY)
    usage_adds_up(answer.usage, 4)


def main():
    failures = 0
    for function in checks:
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok    {name}", flush=True)
        except Exception as error:  # one broken answer must not hide the others
            failures += 1
            print(f"FAIL  {name}: {type(error).__name__}: {error}", flush=True)
    print(f"{len(checks) - failures} of {len(checks)} checks passed against {BASE} (openai {openai.__version__})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
