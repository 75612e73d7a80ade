"""The language model's way: a stub server and a tiny random model; nothing leaves the machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from medfm_core.errors import InputError, MedFMError, ResourceError, WeightsError
from training.data.reports import parse_report
from training.data.reports.llm import parse_with_model, read_answer
from training.data.reports.llm_endpoint import Endpoint
from training.data.reports.llm_local import LocalModel

TEXT = "FINDINGS: There is a 12 mm cyst of the left kidney. This is unchanged. No gallstones."
GOOD = {
    "statements": [
        {"sentence": 1, "context": "positive", "state": "present", "organ": "kidney_left", "side": "left",
         "finding": "renal_cyst", "size_mm": 12},
        {"sentence": 2, "context": "continuation", "state": "background"},
        {"sentence": 3, "context": "negative", "state": "absent", "organ": "gallbladder", "finding": "gallstones"},
    ]
}  # fmt: skip


def changed(number, **fields):
    """The good answer with one statement changed, as text."""
    rows = [dict(row) for row in GOOD["statements"]]
    rows[number - 1].update(fields)
    return json.dumps({"statements": rows})


def asked(*replies):
    """A model that gives these replies in turn, and the questions that it got."""
    queue, seen = list(replies), []

    def ask(messages):
        seen.append(list(messages))
        return queue.pop(0)

    return ask, seen


def test_a_good_answer_is_taken_and_the_continuation_joined():
    ask, seen = asked(f"```json\n{json.dumps(GOOD)}\n```")
    parsed = parse_with_model(TEXT, ask, "stub")
    assert parsed.method == "stub"
    assert not parsed.note
    assert len(seen) == 1
    cyst, more, stones = parsed.findings
    assert (cyst.organ, cyst.finding, cyst.size_mm) == ("kidney_left", "renal_cyst", 12.0)
    assert cyst.text.endswith("This is unchanged.")
    assert more.state == "background"
    assert stones.state == "absent"
    assert TEXT[slice(*cyst.span)] == "There is a 12 mm cyst of the left kidney."


BAD = [
    ("no JSON at all", "JSON"),
    (json.dumps({"statements": GOOD["statements"][:2]}), "3"),
    (changed(1, organ="kidneys_both"), "kidneys_both"),
    (changed(1, finding="cyst of the kidney"), "cyst of the kidney"),
    (changed(1, state="perhaps"), "perhaps"),
    (changed(1, sentence=9), "9"),
    (changed(1, size_mm=-4), "-4"),
    (changed(1, certainty=0.5), "certainty"),
    (changed(3, state="normal"), "normal"),
    ("[]", "object"),
    ("{" * 3000, "JSON"),
]


@pytest.mark.parametrize(("reply", "named"), BAD)
def test_a_bad_answer_is_refused_and_says_what_is_wrong(reply, named):
    with pytest.raises(InputError, match=named):
        read_answer(reply, 3)


def test_the_second_try_is_told_the_error():
    ask, seen = asked(changed(1, organ="kidneys_both"), json.dumps(GOOD))
    assert parse_with_model(TEXT, ask, "stub").method == "stub"
    assert "kidneys_both" in seen[1][-1]["content"]


def test_after_two_bad_answers_the_rules_read_and_it_is_said():
    ask, seen = asked("nonsense", "nonsense")
    parsed = parse_with_model(TEXT, ask, "stub")
    assert parsed.method == "rules"
    assert parsed.findings == parse_report(TEXT).findings
    assert "rules" in parsed.note
    assert len(seen) == 2


@pytest.fixture
def server():
    """A stub endpoint; `answers` are (status, body), `got` what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.got.append((self.path, dict(self.headers), json.loads(body)))
            status, answer = self.server.answers.pop(0)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/v1")
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_):
            pass

    stub = HTTPServer(("127.0.0.1", 0), Handler)
    stub.got, stub.answers = [], []
    thread = threading.Thread(target=stub.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield stub
    stub.shutdown()
    stub.server_close()


def test_the_endpoint_gets_the_question_and_the_key(server, monkeypatch):
    monkeypatch.setenv("MEDFM_LLM_KEY", "secret")
    server.answers = [(200, json.dumps({"choices": [{"message": {"content": json.dumps(GOOD)}}]}))]
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}/v1/", "tiny")
    assert parse_with_model(TEXT, endpoint.ask, endpoint.model).method == "tiny"
    path, headers, body = server.got[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert (body["model"], body["temperature"]) == ("tiny", 0)
    assert "cyst of the left kidney" in body["messages"][1]["content"]


@pytest.mark.parametrize("answer", [(401, "no"), (302, ""), (200, "hello"), (200, '{"choices": []}')])
def test_an_endpoint_that_fails_is_an_error_without_the_key(server, monkeypatch, answer):
    monkeypatch.setenv("MEDFM_LLM_KEY", "secret")
    server.answers = [answer]
    with pytest.raises(ResourceError) as caught:
        Endpoint(f"http://127.0.0.1:{server.server_port}/v1", "tiny").ask([])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://example.org/v1", "ftp://example.org", "example.org/v1", "https://me:key@example.org/v1", "http://[x"],
)
def test_unsafe_addresses_are_refused(url):
    with pytest.raises(InputError):
        Endpoint(url, "tiny")


def test_plain_http_elsewhere_must_be_asked_for():
    assert Endpoint("http://example.org/v1", "tiny", allow_plain_http=True).host == "example.org"
    assert Endpoint("http://localhost:8000/v1", "tiny").host == "localhost:8000"


def test_a_local_model_that_talks_nonsense_leaves_it_to_the_rules(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", eos_token="b")
    config = transformers.LlamaConfig(
        vocab_size=3, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=16384,
    )  # fmt: skip
    fast.save_pretrained(tmp_path)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    model = LocalModel(tmp_path, most_tokens=4)
    assert isinstance(model.ask([{"role": "user", "content": "a b"}]), str)
    assert parse_with_model(TEXT, model.ask, model.name).method == "rules"


def test_a_folder_without_a_model_is_an_error(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(InputError):
        LocalModel(tmp_path / "none")
    with pytest.raises((WeightsError, MedFMError)):
        LocalModel(tmp_path)
