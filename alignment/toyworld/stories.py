"""The stories of the toy world: who wants what, the ways to ask for a story and the sentences it is told in."""

HEROES = (
    "fox", "bear", "rabbit", "owl", "otter", "mouse", "goat", "duck", "frog", "hen", "horse", "cow", "sheep", "pig",
    "dog", "cat", "lion", "wolf", "deer", "squirrel", "hedgehog", "badger", "turtle", "snail", "donkey", "goose",
    "beaver", "penguin", "camel", "mole",
)  # fmt: skip
MOODS = ("brave", "small", "shy", "tired", "curious", "clumsy", "lonely", "proud", "hungry", "sleepy")
WISHES = {  # as a wish -> as it came true
    "see the sea": "saw the sea",
    "climb the tall hill": "climbed the tall hill",
    "learn to sing": "learned to sing",
    "find a friend": "found a friend",
    "bake a cake": "baked a cake",
    "build a boat": "built a boat",
    "catch a falling star": "caught a falling star",
    "paint the old barn": "painted the old barn",
    "win the village race": "won the village race",
    "fly a red kite": "flew a red kite",
    "grow a garden": "grew a garden",
    "ride the night train": "rode the night train",
    "write a poem": "wrote a poem",
    "cross the wide river": "crossed the wide river",
    "dance in the snow": "danced in the snow",
    "read a whole book": "read a whole book",
}
HELPERS = ("miller", "gardener", "grandmother", "postman", "wizard", "teacher", "fisherman", "queen", "baker", "giant")

ASKS = (
    "Tell me a story about a {mood} {hero} who wants to {wish}.",
    "Please tell me about the {mood} {hero} that wished to {wish}.",
    "Can I have a story where a {mood} {hero} tries to {wish}?",
    "I would like to hear of a {mood} {hero} who set out to {wish}.",
    "Make up a tale of a {mood} {hero} hoping to {wish}.",
)
OPENINGS = (
    "Once there was a {mood} {hero} who wanted to {wish}.",
    "Long ago a {mood} {hero} dreamed of the day it could {wish}.",
    "In a green valley a {mood} {hero} made a plan to {wish}.",
)
MIDDLES = (
    "One day the {hero} met a {helper}, who showed the way.",
    "The {hero} asked a {helper} for help, and they set off together.",
    "A {helper} laughed, but the {hero} did not give up.",
    "It rained for a week, and still the {hero} tried again.",
)
ENDINGS = (
    "At last the {hero} {done} and smiled.",
    "That evening the {hero} {done}, and everyone cheered.",
    "So the {hero} {done} and went home happy.",
)
