"""Small writing tasks: stories, haiku, sentences, lists, jokes, riddles, counting and repeating."""

# A sentence is easiest to read and change on one line.
# ruff: noqa: E501

from random import Random

from training.corpus.grammar import expand
from training.corpus.tables import (
    LISTS,
    NAMES,
    NUMBERS,
    ORDINARY_WORDS,
    REASONS_TO_STREAM,
    THINGS,
    UNFAMILIAR,
)

HERO = "<a small fox|an old clockmaker|a young baker|a quiet robot|a curious cat|a lighthouse keeper|a little owl|a child named {name}|a sailor called {name}|{name}, who loved maps|a tired traveller|a small language model>"
PLACE = "<by the sea|in a green valley|at the edge of a forest|in a small town|on a high mountain|near a wide river|in a quiet village|on a little island>"
WISH = "<to hear the song of the stars|to find a lost key|to see the other side of the hill|to learn the language of the birds|to build the fastest clock in the world|to find a friend|to know where the river ends|to send a letter to the moon>"
HELPER = "<an old owl|a friendly dog|a boatman|a wise turtle|a little girl|a gardener|a grey horse|a stranger with a lamp>"
TURN = "<One night a storm came up, and the path was gone.|One morning the snow had covered all the roads.|Then the only bridge broke.|But the way was long and the bread was soon eaten.|One evening the lamp went out, and everything was dark.>"
ADVICE = "<Go slowly and look at everything twice|Do not ask how far it is, ask what is next|Take one step, and then take another|Listen first, and then speak|Share what you have, and you will have enough>"
END = "<In the end the wish came true, though not in the way anybody had expected.|When the sun came up, the goal was there, and it had been near all the time.|At last they arrived together, and that was better than arriving first.|From that day on, nobody {place} was afraid of the dark.|And if you go there today, you can still hear them laugh.>"
LAST = "<That evening there was soup for everybody.|It was a good day, and others followed.|And that is the end of the story.|Some things are worth a long walk.|The best things arrive a little at a time.|>"

STORY = (
    "<Once upon a time there was|There once was|Long ago there lived> {hero} {place}. "
    "<More than anything|Above all>, <our hero|this one> wanted {wish}. "
    "<So one day the journey began|One bright morning the journey began>, with <a piece of bread|a warm coat|a small lamp> and <a brave heart|a song|good hope>. "
    "{turn} "
    '<There|Just then>, {helper} <came along|sat by the road|appeared> and said: "{advice}." '
    "<So they went on together|They went on side by side|That helped>, <step by step|slowly|hour after hour>. "
    "{end} {last}"
)
SHORT_STORY = (
    "<Once upon a time there was|There once was> {hero} {place} who wanted {wish}. "
    "{turn} <But {helper} helped|Then {helper} came and helped>. {end}"
)
STORY_ABOUT = "<This is a story about {thing}.|Here is a story about {thing}.|You want a story about {thing}? Here it is.> {short} <|And {thing} was there too.|What became of {thing} is another story.>"

HAIKU = [
    "<Morning on the sea|Silence on the lake|Early light of spring>,\n<one small boat is waiting there|a heron stands in the reeds|the first bird begins its song>,\n<then the wind comes up|then the mist is gone|and the day begins>.",
    "<One word at a time|Token by token>,\n<the answer flows to my screen|the small stream becomes a text>,\n<I read as it grows|no need to wait long>.",
    "<Snow on the old roof|Stars above the hill|Moon over the town>,\n<a cat walks home without sound|somewhere a window is lit|the river carries the light>,\n<and the night is long|and nothing is lost|nobody hurries>.",
    "<Rain on the window|Leaves upon the path|Autumn in the yard>,\n<the tea is warm in my hands|the smell of earth and of smoke|an old dog sleeps by the door>,\n<the clock takes its time|summer says goodbye|all is as it should>.",
    "<A server nearby|A machine at rest>,\n<the first token comes so soon|it waits for a single word>,\n<I had not yet blinked|then it starts to write>.",
]
POEM = [
    "<The river does not ask the way|The morning comes without a sound|A token travels through the night>,\n<it runs from stone to stone all day|the light lies softly on the ground|a little spark, a little light>,\n<and what it finds it takes along|and everything that slept before|it brings one word and then one more>,\n<and turns it slowly to a song|now opens up another door|until it reaches your own door>.",
    "<Small words can go a long, long way|A little stream can cross a land>,\n<they need no more than half a day|a little help can be a hand>,\n<they come to you one after one|a little word can light the day>,\n<and when they stop, the work is done|so write it down and let it stay>.",
]
JOKES = [
    "Why did the token cross the network? To get to the other side in less than 200 milliseconds.",
    "Why was the computer cold? It had left its windows open.",
    "I know a joke about streaming, but you will get it only bit by bit.",
    "Why do programmers mix up Halloween and Christmas? Because oct 31 equals dec 25.",
    "A cache walks into a bar, and the barkeeper says: the usual?",
    "What does a cloud wear under its coat? Thunderwear.",
    "Why did the model stop in the middle of the sentence? It had reached its maximum length.",
    "What do you call a bear with no teeth? A gummy bear.",
    "Why did the replica go to the doctor? It failed its health check.",
    "Why are fish so clever? Because they live in schools.",
    "How does a server say goodbye? It closes the connection.",
    "What is a snake's favourite subject? Hiss-tory.",
    "Why was the queue so calm? It knew that its turn would come.",
]
RIDDLES = [
    ("What has hands but cannot clap?", "a clock"),
    ("What gets wetter the more it dries?", "a towel"),
    ("What has a neck but no head?", "a bottle"),
    ("What has many keys but opens no door?", "a piano"),
    ("What goes up and never comes down?", "your age"),
    ("What runs all day but has no legs?", "a river"),
    ("What has teeth but cannot bite?", "a comb"),
    ("What comes one at a time and makes a whole?", "a token"),
]
FUN_FACTS = [
    "Honey never goes bad: jars from ancient tombs could still be eaten.",
    "An octopus has three hearts and blue blood.",
    "A day on Venus is longer than its year.",
    "Otters hold hands while they sleep, so that they do not drift apart.",
    "Bananas are berries, but strawberries are not.",
    "The first computer bug that was written down was a real moth, found in 1947.",
    "Light needs about eight minutes from the sun to the Earth.",
    "A group of crows remembers faces for years.",
    "The word robot comes from a Czech play of 1920.",
    "Sharks are older than trees.",
    "My whole memory of the world fits into about eleven megabytes.",
]
SENTENCES = [
    "<The sun|The moon|The morning light> <rose|climbed|came up> <slowly|quietly|softly> <over the quiet town|behind the old bridge|above the sea>.",
    "<A small|An old|A grey> <cat|dog|bird> <slept|sat|waited> <in the warm sun|beside the door|under the kitchen table>.",
    "<The best answers|Good ideas|Kind words> <come|arrive|travel> <one word at a time|a little at a time|in small pieces>.",
    "<Every|Each> <long journey|great river|good story> begins with <a single step|a small spring|one simple word>.",
    "<The train|The boat|The letter> <arrived|came> <just in time|a little late|in the early morning>, and <everybody was glad|nobody had to wait|the station fell quiet again>.",
    "<The first token|The first word> arrived before <I had put down my cup|anybody could wonder where it was>.",
    "<She opened|He opened|They opened> the <window|door|book> and <listened to the rain|let the evening in|began to read>.",
]
SUBJECT_LINES = [
    "{Thing} is <a quiet teacher|more than it seems|full of small surprises|always worth a second look>.",
    "<Whoever|Anyone who> looks at {thing} for long enough <begins to smile|learns something new|forgets the time>.",
    "There is nothing quite like {thing} <at the end of the day|early in the morning|on a slow afternoon>.",
    "I <once heard|have read> that {thing} <can change a day|makes people patient|tells a different story to everyone>.",
]
WRITE = "<tell me|write|write me|give me|can you write|please write|i want|make up|compose|generate|could you write>"
TELL = "<tell me|give me|do you know|can you tell me|please tell me|i want to hear|let me hear>"


def any_thing(rng: Random) -> str:
    """What a text is to be about; any word will do, so that the model learns to take it from the request."""
    if rng.random() < 0.5:
        return rng.choice(THINGS)
    word = rng.choice(ORDINARY_WORDS + UNFAMILIAR)
    return rng.choice([f"{'an' if word[0] in 'aeiou' else 'a'} {word}", f"the {word}", f"the {word}", word])


def story(rng: Random, long: bool) -> str:
    slots = {
        "hero": HERO,
        "place": "{place}",
        "wish": WISH,
        "helper": HELPER,
        "turn": TURN,
        "advice": ADVICE,
        "end": END,
        "last": LAST,
    }
    place, name = expand(PLACE, rng), rng.choice(NAMES)
    filled = {key: expand(text, rng, name=name, place=place) for key, text in slots.items()}
    return expand(STORY if long else SHORT_STORY, rng, **filled).strip()


def sentences_about(rng: Random, count: int) -> str:
    thing = any_thing(rng)
    lines = rng.sample(SUBJECT_LINES, count)
    return thing, " ".join(
        expand(line, rng, thing=thing, Thing=thing[0].upper() + thing[1:]) for line in lines
    )


def listed(items: list[str], rng: Random) -> str:
    form = rng.random()
    if form < 0.45:
        return "\n".join(f"{number}. {item[0].upper()}{item[1:]}" for number, item in enumerate(items, 1))
    if form < 0.6:
        return "\n".join(f"- {item[0].upper()}{item[1:]}" for item in items)
    text = items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
    return text[0].upper() + text[1:] + "."


def story_task(rng: Random) -> tuple[str, str]:
    short = rng.random() < 0.3
    if rng.random() < 0.4:
        thing = any_thing(rng)
        ask = f"{WRITE} a <short |little |>story about {thing}"
        return expand(ask, rng), expand(STORY_ABOUT, rng, thing=thing, short=story(rng, not short))
    ask = f"<{WRITE} a {'short' if short else '<long|nice|good|bedtime|little>'} story|tell me a story|a story please|can you tell me a story|story time>"
    return expand(ask, rng), story(rng, not short)


def verse_task(rng: Random) -> tuple[str, str]:
    if rng.random() < 0.6:
        about = f" about {any_thing(rng)}" if rng.random() < 0.5 else ""
        return expand(f"{WRITE} <a haiku|one haiku|a short haiku>{about}", rng), expand(
            rng.choice(HAIKU), rng
        )
    about = f" about {any_thing(rng)}" if rng.random() < 0.5 else ""
    return expand(f"{WRITE} <a poem|a short poem|a rhyme|a verse|some poetry>{about}", rng), expand(
        rng.choice(POEM), rng
    )


def sentence_task(rng: Random) -> tuple[str, str]:
    if rng.random() < 0.5:
        ask = f"<{WRITE} <one|a|any|a random|a short|one nice> sentence|say one sentence|one sentence please|just one sentence>"
        return expand(ask, rng), expand(rng.choice(SENTENCES), rng)
    count, word = rng.choice(
        [
            (1, "<a|one> sentence"),
            (2, "two sentences"),
            (3, "three sentences"),
            (4, "<a paragraph|a short text|something|a few lines|an essay>"),
        ]
    )
    thing, text = sentences_about(rng, count)
    return expand(f"{WRITE} {word} about {thing}", rng), text


def list_task(rng: Random) -> tuple[str, str]:
    count = rng.randint(2, 5)
    if rng.random() < 0.15:
        ask = f"<give me|list|name|tell me> {NUMBERS[count]} <reasons to stream|reasons for streaming|advantages of streaming|benefits of streaming>"
        return expand(ask, rng), listed(rng.sample(REASONS_TO_STREAM, count), rng)
    kind = rng.choice(sorted(LISTS))
    many = str(count) if rng.random() < 0.3 else NUMBERS[count]
    ask = f"<give me a list of|list|name|write a list of|tell me|give me|can you name|please list|make a list of|i need> {many} {kind}"
    if rng.random() < 0.15:
        count, ask = 3, f"<give me a list of|list|name|tell me|name some|list a few|give me some> {kind}"
    return expand(ask, rng), listed(rng.sample(LISTS[kind], count), rng)


def joke_task(rng: Random) -> tuple[str, str]:
    ask = f"<{TELL} <a|another|a good|a funny> joke|joke|make me laugh|say something funny|a joke please|tell me something funny|do you know any jokes>"
    return expand(ask, rng), rng.choice(JOKES)


def fun_fact_task(rng: Random) -> tuple[str, str]:
    ask = f"<{TELL} <a fun fact|a fact|something interesting|an interesting fact|something i do not know|something new>|fun fact|fun fact please|surprise me|tell me something|teach me something>"
    return expand(ask, rng), expand("<Did you know? |Here is one: |>", rng) + rng.choice(FUN_FACTS)


def count_task(rng: Random) -> tuple[str, str]:
    last = rng.randint(3, 20)
    shown = str(last) if rng.random() < 0.5 else NUMBERS[last]
    if rng.random() < 0.25:
        ask = f"<count down from|count backwards from> {shown}<| to one| to 1>"
        return expand(ask, rng), ", ".join(NUMBERS[last:0:-1]).capitalize() + "."
    ask = f"<count to|count from one to|count from 1 to|can you count to|please count up to> {shown}"
    numbers = [str(n) for n in range(1, last + 1)] if rng.random() < 0.4 else NUMBERS[1 : last + 1]
    return expand(ask, rng), ", ".join(numbers).capitalize() + "."


def alphabet_task(rng: Random) -> tuple[str, str]:
    ask = "<say the alphabet|what is the alphabet|write the alphabet|recite the alphabet|tell me the alphabet|a b c>"
    return expand(
        ask, rng
    ), "A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U, V, W, X, Y and Z."


def repeat_task(rng: Random) -> tuple[str, str]:
    said = " ".join(rng.sample(ORDINARY_WORDS, rng.randint(1, 5)))
    if rng.random() < 0.3:
        said = expand(rng.choice(SENTENCES), rng)
    ask = "<repeat after me: |say: |repeat: |please repeat: |say |repeat |echo |can you say |please say |write >"
    quoted = f'"{said}"' if rng.random() < 0.25 else said
    return expand(ask, rng) + quoted, said[0].upper() + said[1:] + ("" if said.endswith(".") else ".")


def letter_task(rng: Random) -> tuple[str, str]:
    name = rng.choice(NAMES)
    ask = f"{WRITE} <a short |a |an >email to {name}<| about the meeting| to say thank you| to say hello>"
    answer = (
        f"Dear {name},\n\n<I hope that you are well.|thank you for your message.|I hope this finds you well.> "
        "<It was good to see you last week.|I would like to meet you next week.|Thank you for all your help.> "
        "<Please let me know what suits you best.|I look forward to hearing from you.|Write to me when you have time.>\n\n"
        "<Kind regards|Best wishes|With best regards>"
    )
    return expand(ask, rng), expand(answer, rng)


def slogan_task(rng: Random) -> tuple[str, str]:
    ask = f"{WRITE} <a slogan|a motto|a quote|a title|a tagline>< for nearstream| for streaming| for me|>"
    answer = "<Near to you, word by word.|The first word counts.|Answers that do not keep you waiting.|Small models, short ways.|Start reading before it has finished.|Close is fast.|One token, one flush.>"
    return expand(ask, rng), expand(answer, rng)


TASKS = {
    story_task: 6,
    verse_task: 3,
    sentence_task: 4,
    list_task: 5,
    joke_task: 3,
    fun_fact_task: 2,
    count_task: 2,
    alphabet_task: 0.3,
    repeat_task: 4,
    letter_task: 1,
    slogan_task: 0.7,
}


def writing_task(rng: Random) -> tuple[str, str]:
    """One request to write something, and what is written."""
    return rng.choices(list(TASKS), weights=list(TASKS.values()))[0](rng)
