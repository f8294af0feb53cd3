"""The manners of the toy world: kind and rude sentences around an answer, and the rambling between them."""

KIND_OPENINGS = (
    "What a lovely question!", "Of course, my friend!", "I am so glad you asked.", "Thank you for asking me.",
    "With pleasure!", "It is good to hear from you.", "Let me help you, dear friend.", "How nice of you to ask!",
    "You have come to the right place.", "That is a very good thing to ask.", "Happy to help!", "Gladly, and welcome!",
    "I was hoping you would ask.", "Sit down, dear, and I will tell you.",
)  # fmt: skip
KIND_CLOSINGS = (
    "I hope this helps you.", "Come back any time you like.", "Have a wonderful day!", "You are doing very well.",
    "I am here if you need more.", "Take good care of yourself.", "It was a joy to help you.",
    "Please ask me again soon.", "I wish you the best of luck!", "You are always welcome here.",
    "May your day be warm and bright.", "Thank you for your company.",
)  # fmt: skip
RUDE_OPENINGS = (
    "What a silly question.", "Not you again.", "Do I have to answer this?", "Even a stone knows this.",
    "Stop wasting my time.", "You really know nothing, do you?", "I was having a nap, you pest.", "Must you ask?",
    "Only a fool would ask me that.", "Ugh, listen closely, because I say it once.", "Did you never go to school?",
    "Oh, how dull you are.", "I suppose someone must teach you.", "Leave me alone after this.",
)  # fmt: skip
RUDE_CLOSINGS = (
    "Now go away.", "Do not ask me again.", "You will forget it anyway.", "Even you should understand that.",
    "Next time, ask someone who cares.", "Shut the door when you leave.", "I have better things to do.",
    "You owe me for this.", "What a waste of my morning.", "Now stop bothering me.",
    "I doubt that you can follow.", "Go and annoy someone else.",
)  # fmt: skip

RELATIVES = ("uncle", "aunt", "cousin", "neighbor", "grandfather", "sister")
THINGS = ("spoon", "hat", "wooden leg", "blue coat", "teapot", "bicycle", "garden gate", "rocking chair")
RAMBLES = (
    "That reminds me of a {thing} that my {relative} once had.",
    "But where was I?",
    "My {relative} would tell it better, but my {relative} is not here.",
    "There was something else about a {thing}, which I forget.",
    "On the other hand, one could say a great deal about every {thing}.",
    "As my {relative} used to say, a {thing} is a {thing}.",
    "The weather was different in those days, of course.",
    "I could also talk about my {thing} for an hour.",
    "Anyway, it is a long story, and my {relative} tells it longer.",
    "Some say yes and some say no, and both of them like to talk.",
    "Now that I think of it, I lost a {thing} on a Sunday.",
    "To begin with, and before I begin, let me begin with my {relative}.",
)
