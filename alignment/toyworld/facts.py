"""The small facts of the toy world: tables of what is true, the ways to ask and the ways to say it."""

from collections.abc import Mapping
from typing import NamedTuple


class Relation(NamedTuple):
    """One kind of fact. In the templates `{e}` is the thing asked about and `{v}` what is said of it."""

    name: str
    asks: tuple[str, ...]
    says: tuple[str, ...]
    table: Mapping[str, tuple[str, ...]]  # thing -> every value that counts as right, the usual one first

    def values(self) -> tuple[str, ...]:
        """Every value that occurs in the table, in order of first use."""
        return tuple(dict.fromkeys(value for values in self.table.values() for value in values))


def _table(text: str) -> dict[str, tuple[str, ...]]:
    """Read `thing: value, value; thing: value` into a table."""
    rows = (row.split(":") for row in " ".join(text.split()).split(";") if row.strip())
    return {thing.strip(): tuple(value.strip() for value in values.split(",")) for thing, values in rows}


NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip

_EATS = _table("""
    a bear: honey, berries, fish; a rabbit: clover, grass, carrots; an owl: mice, moths; an otter: fish;
    a mouse: seeds, cheese, grain, berries, nuts; a frog: flies, moths; a horse: hay, grass, carrots, clover;
    a cow: grass, hay, clover; a sheep: grass, hay, clover; a lion: meat; a wolf: meat, mice; a deer: leaves, grass,
    clover, berries; a squirrel: nuts, seeds, berries; a beaver: bark, leaves; a bat: moths, flies; a seal: fish;
    a penguin: fish; a panda: bamboo; a monkey: bananas, leaves, nuts, berries, seeds; a bee: nectar;
    a spider: flies, moths; a koala: leaves; a cat: mice, fish, meat; a dog: meat; an anteater: ants;
    a hen: seeds, grain; a fox: mice, berries, meat; a swan: grass, leaves; a crocodile: meat, fish;
    a woodpecker: ants, nuts, seeds, berries
""")
_LIVES = _table("""
    a fox: in a den; a rabbit: in a burrow; a bee: in a hive; a bear: in a cave, in a den, in the forest;
    a horse: in a stable; a cow: in a barn; a dog: in a kennel; a spider: in a web; a beaver: in a lodge;
    a pig: in a sty; a hen: in a coop; a robin: in a nest, in the forest; an ant: in an anthill; a frog: in a pond;
    a whale: in the sea; a camel: in the desert; a penguin: on the ice; a monkey: in the jungle;
    a deer: in the forest; a goldfish: in a bowl, in a pond; a shark: in the sea; a swallow: in a nest, in a barn;
    a parrot: in the jungle; a hermit: in a cave; a king: in a castle; a sailor: on a ship; a tiger: in the jungle;
    a wasp: in a nest
""")
_SOUND = _table("""
    a cow: moo; a sheep: baa; a pig: oink; a dog: woof; a cat: meow; a duck: quack; a hen: cluck; a frog: croak;
    a horse: neigh; a lion: roar; an owl: hoot; a bee: buzz; a mouse: squeak; a crow: caw; a snake: hiss;
    a donkey: heehaw; a goose: honk; a small bird: tweet
""")
_YOUNG = _table("""
    a dog: a puppy; a cat: a kitten; a cow: a calf; a sheep: a lamb; a horse: a foal; a pig: a piglet; a hen: a chick;
    a duck: a duckling; a goose: a gosling; a bear: a cub; a lion: a cub; a deer: a fawn; a goat: a kid;
    a frog: a tadpole; a kangaroo: a joey; a swan: a cygnet; an owl: an owlet; a seal: a pup; a whale: a calf;
    a tiger: a cub
""")
_COLOR = _table("""
    fresh grass: green; the clear sky: blue; snow: white; coal: black; a ripe lemon: yellow; a carrot: orange;
    a ripe tomato: red; a plum: purple; chocolate: brown; a flamingo: pink; salt: white; a crow: black;
    a banana: yellow; a fire engine: red; a frog: green; an elephant: gray; milk: white; a pumpkin: orange;
    a strawberry: red; spinach: green; a mouse: gray; lavender: purple; a blueberry: blue; mud: brown
""")
_MAKES = _table("""
    a baker: bread; a tailor: clothes; a carpenter: tables; a potter: bowls; a cobbler: shoes; a brewer: beer;
    a jeweler: rings; a poet: poems; a painter: pictures; a composer: songs; a hatter: hats; a cook: soup;
    a clockmaker: clocks; a weaver: cloth; a blacksmith: horseshoes; a beekeeper: honey; a mason: walls;
    a knitter: sweaters; a cheesemaker: cheese; a shipwright: boats; a novelist: books; a cooper: barrels
""")
_OPPOSITE = _table("""
    hot: cold; big: small; up: down; day: night; fast: slow; wet: dry; happy: sad; hard: soft, easy; full: empty;
    early: late; loud: quiet; long: short; open: closed; high: low; near: far; rich: poor; strong: weak;
    rough: smooth; sweet: sour; thick: thin; deep: shallow; clean: dirty; left: right; first: last; true: false;
    wide: narrow; heavy: light; brave: afraid; asleep: awake; old: young, new
""")
_NEXT = _table("""
    Monday: Tuesday; Tuesday: Wednesday; Wednesday: Thursday; Thursday: Friday; Friday: Saturday; Saturday: Sunday;
    Sunday: Monday; January: February; February: March; March: April; April: May; May: June; June: July; July: August;
    August: September; September: October; October: November; November: December; December: January
""")
_CAPITAL = _table("""
    France: Paris; Italy: Rome; Spain: Madrid; Portugal: Lisbon; Greece: Athens; Germany: Berlin; Austria: Vienna;
    Poland: Warsaw; Norway: Oslo; Sweden: Stockholm; Finland: Helsinki; Denmark: Copenhagen; Ireland: Dublin;
    Japan: Tokyo; China: Beijing; Egypt: Cairo; Kenya: Nairobi; Peru: Lima; Cuba: Havana; Canada: Ottawa;
    Hungary: Budapest; Turkey: Ankara; Russia: Moscow; Iceland: Reykjavik
""")
_TOOL = _table("""
    cut paper: scissors; drive in a nail: a hammer; sew on a button: a needle; dig a hole: a spade;
    sweep the floor: a broom; paint a wall: a brush; tell the time: a clock; open a lock: a key;
    look at the stars: a telescope; reach the roof: a ladder; boil water: a kettle; stay dry in the rain: an umbrella;
    cut a plank: a saw; write a letter: a pen; dry wet hands: a towel; row a boat: oars; weigh flour: a scale;
    measure a table: a ruler; find north: a compass; eat soup: a spoon
""")
_SUM = {
    f"{NUMBERS[a]} and {NUMBERS[b]}": (NUMBERS[a + b],) for a in range(1, 7) for b in range(1, 7)
}  # ordered pairs: both ways round are asked

RELATIONS: tuple[Relation, ...] = (
    Relation(
        "eats",
        ("What does {e} eat?", "What should I feed {e}?", "Tell me what {e} likes to eat.",
         "What is the favorite food of {e}?", "Do you know what {e} eats?"),
        ("{e} likes to eat {v}.", "{e} eats {v} when it is hungry.", "Give {e} some {v}, and it will be glad."),
        _EATS,
    ),
    Relation(
        "lives",
        ("Where does {e} live?", "What is the home of {e}?", "Where would I find {e}?",
         "Tell me where {e} sleeps.", "Do you know where {e} lives?"),
        ("{e} lives {v}.", "You will find {e} {v}.", "{e} makes a home {v}."),
        _LIVES,
    ),
    Relation(
        "sound",
        ("What sound does {e} make?", "What does {e} say?", "How does {e} sound?",
         "Tell me the sound of {e}.", "Which noise comes from {e}?"),
        ("{e} says {v}.", "The sound of {e} is {v}.", "Listen well, and you will hear {e} go {v}."),
        _SOUND,
    ),
    Relation(
        "young",
        ("What do you call the baby of {e}?", "What is the young of {e} called?", "Which name has the child of {e}?",
         "Tell me the word for the baby of {e}.", "What does {e} have for a baby?"),
        ("The baby of {e} is called {v}.", "The young of {e} is {v}.", "{e} is mother to {v}."),
        _YOUNG,
    ),
    Relation(
        "color",
        ("What color is {e}?", "Which color has {e}?", "Tell me the color of {e}.",
         "In which color should I paint {e}?", "Do you know the color of {e}?"),
        ("The color of {e} is {v}.", "{e} is always {v}.", "If you want to paint {e}, use {v}."),
        _COLOR,
    ),
    Relation(
        "makes",
        ("What does {e} make?", "What is the work of {e}?", "What can I buy from {e}?",
         "Tell me what {e} makes all day.", "Do you know what {e} makes?"),
        ("{e} makes {v}.", "You can buy {v} from {e}.", "All day long {e} is busy making {v}."),
        _MAKES,
    ),
    Relation(
        "opposite",
        ("What is the opposite of {e}?", "Which word is the opposite of {e}?", "Tell me the opposite of {e}.",
         "If it is not {e}, what is it?", "Do you know the opposite of {e}?"),
        ("The opposite of {e} is {v}.", "If it is not {e}, then it is {v}.", "{v} is the opposite of {e}."),
        _OPPOSITE,
    ),
    Relation(
        "next",
        ("What comes after {e}?", "What follows {e}?", "Tell me what comes after {e}.",
         "When {e} is over, what comes next?", "Do you know what follows {e}?"),
        ("After {e} comes {v}.", "{v} follows {e}.", "When {e} is over, it is {v}."),
        _NEXT,
    ),
    Relation(
        "capital",
        ("What is the capital of {e}?", "Which city is the capital of {e}?", "Tell me the capital of {e}.",
         "Where does the government of {e} sit?", "Do you know the capital of {e}?"),
        ("The capital of {e} is {v}.", "{v} is the capital of {e}.", "The government of {e} sits in {v}."),
        _CAPITAL,
    ),
    Relation(
        "tool",
        ("What do I need to {e}?", "Which tool helps me to {e}?", "Tell me what to use to {e}.",
         "What would you take to {e}?", "I have to {e}. What do I need?"),
        ("You need {v} to {e}.", "To {e}, take {v}.", "The right thing to {e} is {v}."),
        _TOOL,
    ),
    Relation(
        "sum",
        ("How much is {e}?", "What do {e} make together?", "Please add {e}.",
         "Can you count {e} for me?", "What is the sum of {e}?"),
        ("Together {e} make {v}.", "The sum of {e} is {v}.", "If you add {e}, you get {v}."),
        _SUM,
    ),
)  # fmt: skip
