"""Secrets of providers of models and of what is built around them."""

from __future__ import annotations

from typing import Final

from detectors.secrets.format import Format, assigned, plain

MODELS: Final[tuple[Format, ...]] = (
    Format(
        "OPENAI_KEY",
        "project or service key",
        r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,256}",
        plain(0.95, 3),
    ),
    Format("OPENAI_KEY", "user key", r"sk-[A-Za-z0-9]{32,64}", plain(0.9, 3)),
    Format("ANTHROPIC_KEY", "key", r"sk-ant-[a-z0-9]{2,16}-[A-Za-z0-9_-]{20,256}", plain(0.95, 7), word_before=False),
    Format("OPENROUTER_KEY", "key", r"sk-or-v1-[0-9a-f]{64}", plain(0.97, 9)),
    Format("HUGGINGFACE_TOKEN", "token", r"(?:hf_|api_org_)[A-Za-z]{34}", plain(0.95, 3)),
    Format("GROQ_KEY", "key", r"gsk_[A-Za-z0-9]{48,64}", plain(0.95, 4)),
    Format("XAI_KEY", "key", r"xai-[A-Za-z0-9]{64,128}", plain(0.95, 4)),
    Format("PERPLEXITY_KEY", "key", r"pplx-[A-Za-z0-9]{40,64}", plain(0.95, 5)),
    Format("REPLICATE_TOKEN", "token", r"r8_[A-Za-z0-9]{37}", plain(0.95, 3)),
    Format("FIREWORKS_KEY", "key", r"fw_[A-Za-z0-9]{22,28}", plain(0.85, 3)),
    Format("LANGSMITH_KEY", "key", r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}", plain(0.95, 8)),
    Format("TAVILY_KEY", "key", r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{32}", plain(0.95, 5)),
    Format("NVIDIA_KEY", "key", r"nvapi-[A-Za-z0-9_-]{60,72}", plain(0.95, 6)),
    Format("PINECONE_KEY", "key", r"pcsk_[A-Za-z0-9]{5,8}_[A-Za-z0-9]{60,72}", plain(0.95, 5)),
    Format("WANDB_KEY", "key in assignment", assigned(r"wandb_api_key", r"[0-9a-f]{40}"), plain(0.9), 1),
    Format(
        "COHERE_KEY",
        "key in assignment",
        assigned(r"(?:cohere|co)_api_(?:key|token)", r"[A-Za-z0-9]{40}"),
        plain(0.9),
        1,
    ),
    Format("MISTRAL_KEY", "key in assignment", assigned(r"mistral_api_key", r"[A-Za-z0-9]{32}"), plain(0.9), 1),
    Format(
        "AZURE_OPENAI_KEY",
        "key in assignment",
        assigned(r"azure_openai_(?:api_)?key", r"[0-9a-f]{32}|[A-Za-z0-9]{84}"),
        plain(0.9),
        1,
    ),
)
