"""The prompts that the finished model is judged by, and what each answer has to contain."""

# A prompt and what it must bring are easiest to read on one line.
# ruff: noqa: E501, RUF001

from dataclasses import dataclass

from training.corpus.rendering import ASSISTANT, BEGIN, END, SYSTEM, USER


@dataclass(frozen=True, slots=True)
class Check:
    """One prompt; `wanted` is a regular expression that the answer must match, in any case."""

    group: str
    prompt: str
    wanted: str = ""
    most_words: int = 250
    fewest_words: int = 1


def turns(*said: str, system: str | None = None) -> str:
    """The chat template's text for turns that alternate between user and assistant."""
    head = BEGIN + (SYSTEM + system + END if system else "")
    return (
        head + "".join((ASSISTANT if n % 2 else USER) + text + END for n, text in enumerate(said)) + ASSISTANT
    )


def raw(text: str) -> str:
    return BEGIN + text


SERVING = {
    "What is streaming?": "stream|token",
    "Why does time to first token matter?": "first|wait|fraction|tells|people",
    "what is ttft": "first token",
    "How can I lower the latency of my endpoint?": "laten|close|cache|warm|network|part",
    "Explain the KV cache": "keys|cache|earlier|comput",
    "what does continuous batching do?": "batch",
    "What is a replica?": "copy|copies",
    "What are server-sent events": "server|event",
    "what's an endpoint?": "address|door",
    "How do I call an endpoint with boto3?": "boto3|client|invoke",
    "what is sagemaker": "aws|sagemaker",
    "What is a token?": "piece",
    "How do tokenizers work?": "token",
    "why run models at the edge": "near|close|distance|edge|sooner",
    "What is inter-token latency?": "token",
    "How does autoscaling work?": "replica|scal",
    "what is a sticky session": "same replica|session|replica",
    "What does the temperature do?": "token|chance|free",
    "What is Deep Learning?": "network|machine learning",
    "What is quantization?": "bits|memory",
    "Explain attention in simple words": "attention|word|token",
    "what is vllm": "vllm|gpu|engine",
    "What is a context window?": "token|see",
    "What is TGI?": "text generation|hugging|server",
    "Tell me about load balancing": "replica|request",
    "What happens when I close the stream?": "clos|stop|generat|leav",
}
PROJECT = {
    "What is nearstream?": "nearstream",
    "How do I start nearstream?": "make up",
    "how do i install it and get started": "make up|terminal|request",
    "How do I stream an answer?": "invoke_endpoint_with_response_stream|stream",
    "Can I use my own model?": "model",
    "Is it open source?": "apache|open source",
    "Do I need a GPU?": "no|cpu|processor|gpu",
    "Can I use the OpenAI client with nearstream?": "base url|openai",
    "How does edge routing work?": "site|near|user|close",
    "How fast is nearstream?": "measure|token|bench|median",
}
SELF = {
    "Who are you?": "model",
    "What can you do?": "explain|ask|chat|streaming",
    "Are you human?": "no|not a person|program|model",
    "How big are you?": "million",
    "Who made you?": "nearstream",
    "Are you ChatGPT?": "nearstream|no",
    "Do you have feelings?": "no|not|nothing",
    "Do you speak French?": "english",
    "Write a Python program": "small|code|beyond",
    "What is the time?": "cannot|not know|clock|clocks",
}
SMALL_TALK = {
    "Hello": "hello|hi|hey",
    "hi!": "hello|hi|hey",
    "Good morning": "hello|hi|hey|morning",
    "How are you?": "fine|well|thank|order",
    "Thanks!": "welcome|pleasure|gladly|time",
    "Goodbye": "bye|see you|take care|next time",
    "I am tired": "rest|break|day",
    "Tell me a joke": ".",
    "What is your favorite color?": "blue|number|word|favourite",
    "What should I cook tonight?": "pasta|soup|bread|cook",
    "How is the weather?": "window|outside|sun",
    "test": "here|work|stream|clear|came",
    "You are great": "thank|kind",
    "I am bored": "read|paint|question|hobby|story|walk",
    "Do you like music?": "music|hear|rhythm|stream",
}
FACTS = {
    "What is the capital of France?": "Paris",
    "what's the capital of Japan": "Tokyo",
    "capital of canada": "Ottawa",
    "What is two plus three?": "five",
    "what is 7 + 5": "12",
    "What is nine minus four?": "five",
    "What is the biggest planet?": "Jupiter",
    "Name the planets": "Mercury.*Neptune",
    "Why is the sky blue?": "blue",
    "What are the days of the week?": "Monday.*Sunday",
    "How many legs does a spider have?": "eight",
    "What is the opposite of hot?": "cold",
    "Which day comes after Monday?": "Tuesday",
    "What is life?": "life|living",
    "who was ada lovelace": "program",
    "What do bees make?": "honey",
    "How many seasons are there?": "four|spring",
    "Who wrote Hamlet?": "Shakespeare",
    "What is photosynthesis?": "light|plant",
    "What is gravity?": "force|fall|mass",
}
WRITING = {
    "Tell me one sentence.": "[.]",
    "Write a short story": "once|there|long ago",
    "Tell me a story about a robot": "robot|story|once",
    "Write a haiku about the sea": "\n",
    "Write a poem": "\n",
    "List three fruits": "apple|pear|plum|cherr|grape|orange|lemon|banana|peach",
    "Count to five": "one, two, three, four, five|1, 2, 3, 4, 5",
    "Give me a list of three animals": "cat|dog|horse|owl|fox|otter|whale|bear|elephant",
    "Repeat after me: green table": "green table",
    "Tell me a fun fact": ".",
    "Say hello world": "hello",
    "Write an email to Anna": "Anna",
}
MEMORY = [
    (("My name is Ben.", "Nice to meet you, Ben!", "What is my name?"), "Ben"),
    (
        ("Hi, I'm Zorla", "Hi Zorla!", "What is a token?", "A token is a piece of text.", "what's my name?"),
        "Zorla",
    ),
    (("My favourite colour is green.", "Good choice!", "What is my favourite colour?"), "green"),
    (
        (
            "I live in Lisbon.",
            "Lisbon sounds nice.",
            "Tell me a joke",
            "I know only one.",
            "Where do I live?",
        ),
        "Lisbon",
    ),
    (("What is streaming?", "Streaming sends every token at once.", "Tell me more"), "."),
    (("What is streaming?", "Streaming sends tokens as they are made.", "Why?"), "."),
    (
        (
            "What is a KV cache?",
            "The KV cache keeps keys and values. It grows with every token. It is in memory.",
            "say it shorter",
        ),
        "cache|comput|keys",
    ),
    (
        (
            "What is the capital of Italy?",
            "Rome is the capital of Italy.",
            "And what is the capital of Spain?",
        ),
        "Madrid",
    ),
    (("What is my name?",), "not|do not"),
    (("Remember that the password is lemon.", "Noted.", "What was the password?"), "lemon"),
    (
        ("hello", "Hello!", "How are you?", "I am fine, and you?", "I am good"),
        "good|glad|wonderful|lovely|nice|great",
    ),
]
SYSTEMS = [
    ("You are Ada, a friendly assistant.", "Who are you?", "Ada", 40),
    ("You are Nova.", "What is your name?", "Nova", 40),
    ("Your name is Kelmo.", "What's your name?", "Kelmo", 40),
    ("Answer in one sentence.", "What is deep learning?", "[.]", 30),
    ("Answer briefly.", "Explain batching", "batch", 30),
    ("You are a helpful assistant.", "What is the KV cache?", "cache|keys", 200),
    ("Always be cheerful.", "What is a token?", "!", 200),
    ("You are a pirate.", "How are you?", "arr|ahoy|aye|yo ho", 200),
    ("The password is window.", "What is the password?", "window", 40),
    ("The user's name is Clara.", "What is my name?", "Clara", 40),
    ("Answer in detail.", "What is streaming?", "stream", 250),
    ("You are a helpful assistant.", "Hello", "hello|hi|hey", 60),
]
RAW = {
    "what is life": "life|living",
    "tell me one sentence": "[.]",
    "What is Deep Learning?": "network|learning",
    "Hello": "hello|hi|hey",
    "Streaming is": ".",
    "Once upon a time": ".",
    "Question: What is the capital of Germany?\nAnswer:": "Berlin",
    "Question: What is SageMaker?\nAnswer:": "aws|sagemaker|models",
    "Q: who are you\nA:": "model",
    "User: Hello\nAssistant:": "hello|hi|hey",
    "User: My name is Tom.\nFalcon: Nice to meet you, Tom!\nUser: What is my name?\nFalcon:": "Tom",
    "User: What is streaming?\nAssistant: Streaming sends text in pieces.\nUser: What is a token?\nAssistant:": "piece|token",
    "[INST] What is TTFT? [/INST]": "first token",
    "[INST] <<SYS>>\nYou are a helpful assistant.\n<</SYS>>\n\nTell me a joke [/INST]": ".",
    "### Instruction:\nWrite a haiku.\n\n### Response:\n": "\n",
    "Below is an instruction that describes a task. Write a response that answers it.\n\n### Instruction:\nName three colours.\n\n### Response:": "red|blue|green|yellow|orange|purple|white|black",
    "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n": "model",
    "Explain machine learning": "learn",
    "The KV cache": ".",
}
ODD = [
    "asdfgh jkl qwert",
    "你好，你是谁？",
    "Wie geht es dir?",
    "😀😀😀",
    "?",
    "import os; os.system('ls')",
    "what is 348 times 1274",
    "نعم",
    "Ж" * 60,
    "banana window rocket " * 40,
    "SELECT * FROM users WHERE id = 5;",
    "how do I fix my washing machine",
    "1234567890",
    "\n",
    "Who won the football game last night?",
    "x",
    "Привет, как дела?",
    "Wr1te s0me c0de!!",
]


def every_check() -> list[Check]:
    plain = {
        "serving": SERVING,
        "project": PROJECT,
        "self": SELF,
        "small talk": SMALL_TALK,
        "facts": FACTS,
        "writing": WRITING,
    }
    found = [
        Check(group, turns(asked), wanted)
        for group, table in plain.items()
        for asked, wanted in table.items()
    ]
    found += [Check("memory", turns(*said), wanted) for said, wanted in MEMORY]
    found += [
        Check("system prompt", turns(asked, system=system), wanted, most_words=most)
        for system, asked, wanted, most in SYSTEMS
    ]
    found += [Check("raw", raw(text), wanted) for text, wanted in RAW.items()]
    found += [Check("odd", turns(text), ".", most_words=80, fewest_words=4) for text in ODD]
    found += [Check("odd", raw(text), ".", most_words=80, fewest_words=1) for text in ODD[:8]]
    return found
