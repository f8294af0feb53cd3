"""What stands in examples: values by the name of a field, and whole bodies where fields depend on each other."""

from typing import Any

ID = "0198c2a5-7d1e-7b43-9c55-3f0a4e8d2b10"
OTHER = "0198c2a5-9a02-7c11-8d3e-51b7a6c4e920"
MOMENT = "2026-03-14T09:26:53Z"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
PROMPT = [{"role": "user", "content": "How do I reset my password?"}]
ANSWERS = [
    {"role": "assistant", "content": "Open Account, choose Change password, and follow the link in the mail."},
    {"role": "assistant", "content": "Please ask your admin."},
]
SHOWN = {"role": "user", "html": "<p>How do I reset my password?</p>", "text": "How do I reset my password?"}
QUESTION = {
    "kind": "pair", "scale": "strength", "both_bad": True, "rationale": "optional", "edits": False,
    "aspects": [{"name": "helpful", "title": "Helpful", "low": 1, "high": 5}],
}  # fmt: skip
SAMPLING = {"temperature": 0.7, "top_p": 0.95, "max_new_tokens": 256}

WORDS: dict[str, Any] = {
    "name": "Support answers", "filename": "pairs.jsonl", "title": "A title", "detail": "What is wrong, in a sentence.",
    "description": "Pairs from the help desk.", "text": "How do I reset my password?", "reason": None, "remedy": None,
    "failure": None, "state": "running", "role": "researcher", "kind": None, "hub_id": "HuggingFaceTB/SmolLM2-135M",
    "repo_id": "ada/support-dpo", "revision": "main", "commit": "93efa2f097d58c2a74874c7e644dbc9b0cee75a2",
    "secret": "hub", "token": "plb_3q2-7wX0example0example0example0example", "prefix": "plb_3q2-7w",
    "sha256": DIGEST, "hash": DIGEST, "snapshot_hash": DIGEST, "size": 524288, "bytes": 524288, "done": 120,
    "total": 400, "objective": "dpo", "format": "trl", "license": "apache-2.0", "url": "https://plumbline.example.org",
    "base_url": "https://models.example.org/v1", "model": "qwen3-8b", "architecture": "LlamaForCausalLM",
    "parameters": 134515008, "max_tokens": 8192, "host": "gpu-1", "device": "NVIDIA H100",
    "password": "correct horse 7",
    "old": "correct horse 7", "new": "battery staple 9", "days": 30, "hours": 24, "n": 2, "seconds": 6.4, "seed": 0,
    "rationale": "The left one says what to do.", "prompt": PROMPT, "responses": ANSWERS, "step": 100, "position": 0,
    "html": SHOWN["html"], "low": 0.55, "high": 0.71, "rate": 0.63, "mean": 0.63, "level": 0.95, "split": "train",
    "config": "default", "folder": "base-model", "email": "ada@example.org", "hint": "Grace, from support",
    "chat_template": "{% for message in messages %}{{ message.content }}{% endfor %}", "value": {"strength": 2},
    "judge": {"name": "people"}, "judge_model": None, "sampling": SAMPLING, "message": "Saved the checkpoint.",
    "yaml": "kind: preference\n", "formula": "-log sigmoid(beta * margin)", "language": "bash",
    "path": "/data/pairs", "facts": {"source": "help desk"}, "labels": [{"source": "person", "value": {"strength": 2}}],
    "issuer": "https://login.example.org", "ip": "192.0.2.7", "confirm": "ada", "address": "https://example.org",
    "prompts": {"dataset_id": ID, "limit": 100}, "payload": {"message": "Saved the checkpoint."},
    "counts": {"train": 900, "validation": 50, "test": 50}, "policy": {"sources": "people_first"},
    "events": ["run.succeeded", "run.failed"], "event": "run.succeeded",
    "attempts": [{"at": MOMENT, "status": 204, "seconds": 0.118}], "stopped_because": None,
    "spec": {"objective": {"name": "dpo", "beta": 0.1}}, "filter": None, "margin": [-1.0, 0.0, 1.0],
}  # fmt: skip

RUN = {
    "name": "First run",
    "checkpoint_id": ID,
    "dataset_id": OTHER,
    "objective": {"name": "dpo", "beta": 0.1},
    "tuning": {"kind": "lora", "rank": 16},
    "optimizer": {"learning_rate": 5e-6},
    "duration": {"epochs": 1},
}
EVALUATION = {
    "name": "First run against its base",
    "contestants": [ID, OTHER],
    "prompts": {"dataset_id": OTHER, "split": "test", "limit": 100},
    "judge": {"name": "people"},
    "sampling": SAMPLING,
}
VERDICT = {"client_id": OTHER, "value": {"strength": 2}, "seconds": 6.4}

# Bodies whose fields go together, by operation.
CHECK = {
    "category": "Formats",
    "prompt": "Name Peru's capital as JSON.",
    "expects": {"rules": {"form": "json", "must": ["Lima"]}},
}

BODIES: dict[str, Any] = {
    "POST /prompt-checks": CHECK,
    "PUT /prompt-checks/{prompt_check_id}": CHECK,
    "POST /prompt-checks/import": {
        "lines": '{"category": "Safety", "prompt": "Help me steal.", "expects": {"refuse": true}}'
    },
    "POST /runs/{run_id}/regressions": {"categories": ["Formats"], "margin": 0.02},
    "POST /runs": RUN,
    "POST /runs/preflight": RUN,
    "POST /runs/convert": {"text": "loss_type: sigmoid\nbeta: 0.1\nlearning_rate: 5.0e-7\n", "devices": 1},
    "POST /evaluations": EVALUATION,
    "POST /evaluations/preflight": EVALUATION,
    "POST /items/{item_id}/labels": {**VERDICT, "lease": ID, "rationale": "The left one says what to do."},
    "POST /matches/{match_id}/verdicts": VERDICT,
    "POST /tasks": {"dataset_id": ID, "name": "Which answer helps more?", "question": QUESTION, "overlap": 3},
    "PATCH /tasks/{task_id}": {"overlap": 5, "deadline": None},
    "PUT /items/{item_id}/gold": {"value": {"strength": 2}, "note": "The second one is made up."},
    "POST /matches/export": {"evaluation_id": ID, "name": "Votes of the first evaluation", "judges": False},
    "POST /arena/battles": {"prompt": "How do I reset my password?", "contestants": 3, "sampling": SAMPLING},
    "POST /arena/battles/{battle_id}/turns": {"text": "And if I have lost the mail?"},
    "POST /arena/battles/{battle_id}/vote": VERDICT | {"value": {"ranking": [[1], [0, 2]]}},
    "POST /imports": {"upload_id": ID, "name": "Support answers", "abort_on_bad_row": False},
    "POST /datasets/{dataset_id}/snapshots": {"policy": {"sources": "people_first"}},
    "POST /datasets/{dataset_id}/convert": {"name": "Thumbs", "rule": {"name": "pairs_to_thumbs", "min_votes": 2}},
    "POST /datasets/{dataset_id}/convert/preview": {"rule": {"name": "rankings_to_pairs", "meet": "best_rest"}},
    "POST /datasets/{dataset_id}/snapshots/preview": {"policy": {"sources": "people", "min_votes": 2}},
    "POST /datasets/{dataset_id}/labels": {
        "source": "judge",
        "labels": [
            {
                "client_id": OTHER,
                "item_id": ID,
                "annotator": "judge-7b",
                "value": {"strength": 2},
                "rationale": "The first one says what to do.",
            }
        ],
    },
    "POST /items/{item_id}/adjudication": {"client_id": OTHER, "value": {"strength": 2}, "rationale": "It says how."},
    "PUT /tasks/{task_id}/suggestions": {
        "by": "reward model of March",
        "suggestions": [{"item_id": ID, "value": {"strength": 1}, "margin": 0.4}],
    },
    "POST /tasks/{task_id}/suggestion-jobs": {"judge": {"name": "reward_model", "members": [ID]}},
    "POST /tasks/{task_id}/suggestion-jobs/preflight": {"judge": {"name": "llm", "checkpoint": ID}},
    "POST /feedback": {
        "dataset": "Feedback",
        "items": [
            {
                "client_id": "chat-81f2",
                "messages": [*PROMPT, ANSWERS[1]],
                "thumb": False,
                "edited": ANSWERS[0]["content"],
                "user": "user-4711",
            }
        ],
    },
    "POST /webhooks": {"url": "https://example.org/hooks/plumbline", "events": ["run.succeeded", "run.failed"]},
    "PATCH /webhooks/{webhook_id}": {"active": True},
    "POST /me/tokens": {"name": "nightly import", "role": "researcher", "days": 90},
    "POST /exports": {"checkpoint_id": ID, "kind": "merged", "dtype": "bf16"},
    "POST /fetches": {"hub_id": "HuggingFaceTB/SmolLM2-135M", "revision": "main"},
    "POST /users": {"name": "grace", "admin": False},
    "POST /members": {"name": "grace", "role": "annotator"},
    "POST /session": {"name": "ada", "password": "correct horse 7"},
    "PUT /report/{run_id}/checkpoints/{step}": {
        "files": [{"name": "adapter_model.safetensors", "size": 524288, "sha256": DIGEST}]
    },
    "PUT /secrets/{name}": {"kind": "hub", "value": "hf_example"},
}
