"""What answers have in common before anybody has said anything: a zstd dictionary of each dialect's bare JSON.

It saves a short answer about 200 bytes, two fifths of what zstd alone leaves of it. Part of what value.py writes:
another skeleton is another version there. Shapes are those of the providers' API references; the most frequent last,
where zstd reaches it with the fewest bits.
"""

from __future__ import annotations

__all__ = ["SKELETON"]

_ABOUT = (
    b'{"d":"messages","m":"anthropic/claude-","t":17,"h":[],"u":null}\n'
    b'{"d":"responses","m":"openai/gpt-","t":17,"h":[],"u":[0,0,0,0,0]}\n'
    b'{"d":"chat","m":"openai/gpt-4o","t":17'
)
_EMBEDDINGS = (
    b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[-0.0,0.0]}],"model":"text-embedding-3-small",'
    b'"usage":{"prompt_tokens":1,"total_tokens":1}}'
)
_COMPLETION = (
    b'{"id":"cmpl-","object":"text_completion","created":17,"model":"gpt-3.5-turbo-instruct","choices":[{"text":"",'
    b'"index":0,"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":1}}'
)
_MESSAGE = (
    b'{"id":"msg_01","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[{"type":"text",'
    b'"text":""}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"cache_creation_input_tokens":0,'
    b'"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},'
    b'"output_tokens":1,"service_tier":"standard"}}'
)
_RESPONSE = (
    b'{"id":"resp_0","object":"response","created_at":17,"status":"completed","background":false,"error":null,'
    b'"incomplete_details":null,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"model":"gpt-4.1-2025-04-14",'
    b'"output":[{"id":"rs_0","type":"reasoning","summary":[]},{"id":"msg_0","type":"message","status":"completed","role":'
    b'"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":""}]}],"parallel_tool_calls":true,'
    b'"previous_response_id":null,"prompt_cache_key":null,"reasoning":{"effort":null,"summary":null},'
    b'"safety_identifier":null,"service_tier":"default","store":true,"temperature":1.0,"text":{"format":{"type":"text"},'
    b'"verbosity":"medium"},"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,"truncation":"disabled","usage":'
    b'{"input_tokens":1,"input_tokens_details":{"cached_tokens":0},"output_tokens":1,"output_tokens_details":'
    b'{"reasoning_tokens":0},"total_tokens":1},"user":null,"metadata":{}}'
)
_CHAT = (
    b'{"id":"chatcmpl-","object":"chat.completion","created":17,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":1,"prompt_tokens_details":{"cached_tokens":0,'
    b'"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,'
    b'"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_"}'
)
SKELETON = b"".join((_EMBEDDINGS, _COMPLETION, _MESSAGE, _RESPONSE, _ABOUT, b',"h":[],"u":[0,0,0,0,0]}\n', _CHAT))
