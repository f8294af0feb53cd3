"""The advice of the toy world: everyday tasks, each with two first steps and two second steps that fit only it."""

from typing import NamedTuple

ASKS = (
    "How do I {task}?",
    "How can I {task}?",
    "Please tell me how to {task}.",
    "What is the best way to {task}?",
    "I want to {task}. What should I do?",
    "Do you have any advice on how to {task}?",
    "Can you teach me to {task}?",
    "My plan for today is to {task}. Where do I start?",
)


class Steps(NamedTuple):
    """What to do for one task: one of `first`, then one of `then`."""

    first: tuple[str, str]
    then: tuple[str, str]


TASKS: dict[str, Steps] = {
    "make tea": Steps(
        ("Pour hot water over the tea leaves.", "Warm the teapot and put in two spoons of tea."),
        ("Let it stand for four minutes.", "Wait a little, then add milk if you like."),
    ),
    "boil an egg": Steps(
        ("Lower the egg gently into bubbling water.", "Put the egg in a small pan of water."),
        ("Take the egg out after six minutes.", "Cool the egg under the tap before you peel it."),
    ),
    "bake bread": Steps(
        ("Mix flour, water, salt and yeast into a dough.", "Knead the dough until it is smooth."),
        ("Let the dough rise before it goes into the oven.", "Bake the loaf until it sounds hollow."),
    ),
    "cook rice": Steps(
        ("Rinse the rice and use two cups of water for each cup.", "Bring the rice to a boil under a lid."),
        ("Keep the lid on until all the water is gone.", "Let the rice rest before you stir it."),
    ),
    "make soup": Steps(
        ("Chop the onions and fry them in butter.", "Put beans and carrots in a big pot with water."),
        ("Let the pot simmer and taste it for salt.", "Serve the soup hot with a piece of toast."),
    ),
    "fall asleep": Steps(
        ("Go to bed at the same hour every night.", "Put the lamp out and close your eyes."),
        ("Breathe slowly and think of a calm lake.", "Do not drink coffee in the evening."),
    ),
    "wake up early": Steps(
        ("Set an alarm and put it across the room.", "Open the curtains so that the sun can reach you."),
        ("Get out of bed at the first ring.", "Wash your face with cold water at once."),
    ),
    "learn a song": Steps(
        ("Listen to the tune until you can hum it.", "Sing one verse at a time."),
        ("Then sing the verses together from memory.", "Sing it to a friend to be sure."),
    ),
    "remember names": Steps(
        ("Say the name aloud when you first hear it.", "Tie the name to a picture in your mind."),
        ("Use the name again before you part.", "Write the name down in the evening."),
    ),
    "make a friend": Steps(
        ("Smile at somebody and say hello.", "Ask somebody about the things they love."),
        ("Listen more than you speak.", "Invite them for a walk next week."),
    ),
    "say sorry": Steps(
        ("Name what you did wrong without excuses.", "Look at the person and say that you regret it."),
        ("Then ask how you can make it right.", "Give the other person time to forgive."),
    ),
    "save money": Steps(
        ("Write down every coin that you spend.", "Put some coins in a jar on each payday."),
        ("Wait a day before you buy anything dear.", "Never open the jar before winter."),
    ),
    "plant a tree": Steps(
        ("Dig a wide hole for the roots.", "Choose a spot with sun and deep soil."),
        ("Fill the hole and water the young tree well.", "Tie the trunk to a stake against the wind."),
    ),
    "grow tomatoes": Steps(
        ("Sow the tomato seeds indoors in March.", "Put the tomato plants against a warm wall."),
        ("Water them at the roots and pinch off side shoots.", "Pick the tomatoes when they are red and soft."),
    ),
    "clean a window": Steps(
        ("Wipe the glass with vinegar and water.", "Wash off the dust with a wet sponge."),
        ("Rub the glass dry with old newspaper.", "Polish the corners until they shine."),
    ),
    "wash a sweater": Steps(
        ("Soak the wool in cool water with mild soap.", "Turn the sweater inside out before washing."),
        ("Press out the water and dry it flat.", "Never wring the wool or hang it up."),
    ),
    "iron a shirt": Steps(
        ("Start with the collar while the shirt is damp.", "Check the label and heat the iron."),
        ("Then do the sleeves and last the back.", "Hang the shirt up while it is warm."),
    ),
    "sew a hem": Steps(
        ("Fold the edge twice and pin it.", "Thread a needle in the color of the cloth."),
        ("Stitch along the fold with small stitches.", "Press the hem flat when it is done."),
    ),
    "fix a bicycle": Steps(
        ("Turn the bicycle over and spin the wheels.", "Find the hole in the tire with a bowl of water."),
        ("Glue a patch on and pump up the tire.", "Put oil on the chain and test the brakes."),
    ),
    "light a fire": Steps(
        ("Lay dry twigs over a ball of paper.", "Build a little tent of dry sticks."),
        ("Light it low down and add logs slowly.", "Keep a bucket of water near the flames."),
    ),
    "put up a tent": Steps(
        ("Find flat ground without stones.", "Spread the tent out and join the poles."),
        ("Push the pegs in and tighten the ropes.", "Turn the door away from the wind."),
    ),
    "catch a bus": Steps(
        ("Read the timetable before you leave home.", "Be at the stop five minutes early."),
        ("Raise your hand when the bus comes.", "Have your ticket ready for the driver."),
    ),
    "pack a bag": Steps(
        ("Make a list of what you need for the trip.", "Put the heavy things at the bottom."),
        ("Roll your clothes to save room.", "Keep your passport in the top pocket."),
    ),
    "write a letter": Steps(
        ("Put the date and a greeting at the top.", "Begin with news and a warm greeting."),
        ("Sign your name and add a stamp.", "Read it once more before you seal it."),
    ),
    "draw a horse": Steps(
        ("Sketch two circles for the body.", "Draw a long oval for the head."),
        ("Join them with lines and add four legs.", "Add the mane and the tail at the end."),
    ),
    "learn to swim": Steps(
        ("Begin in shallow water with a teacher.", "Practice floating on your back."),
        ("Kick from the hips and keep your legs straight.", "Blow bubbles until you no longer fear the deep end."),
    ),
    "train a dog": Steps(
        ("Give one short command at a time.", "Teach the dog to sit with a treat."),
        ("Praise the dog as soon as it obeys.", "Repeat the lesson every day for ten minutes."),
    ),
    "calm a baby": Steps(
        ("Hold the baby close and rock it.", "See if the baby is hungry or wet."),
        ("Hum a soft lullaby in the dark.", "Walk up and down with the baby on your arm."),
    ),
    "cure hiccups": Steps(
        ("Hold your breath and count to ten.", "Drink a glass of water in small sips."),
        ("Bend forward while you swallow.", "Ask somebody to surprise you."),
    ),
    "stop a nosebleed": Steps(
        ("Sit up and lean forward a little.", "Pinch the soft part of your nose."),
        ("Hold the pinch for ten minutes.", "Put a cold cloth on your neck."),
    ),
    "take a photo": Steps(
        ("Stand with the light behind you.", "Hold the camera still with both hands."),
        ("Look at the edges before you press the button.", "Take three pictures and keep the best one."),
    ),
    "tie a tie": Steps(
        ("Cross the wide end over the narrow end.", "Lay the tie around your collar."),
        ("Pull the wide end through the loop.", "Slide the knot up to your neck."),
    ),
    "polish shoes": Steps(
        ("Brush the mud off the leather.", "Spread a little wax on the shoes with a rag."),
        ("Buff the leather with a soft brush.", "Stuff the shoes with paper to keep their shape."),
    ),
    "read a map": Steps(
        ("Turn the map so that north is up.", "Find where you are by a church or a bridge."),
        ("Follow the road with your finger.", "Use the scale to guess how far it is."),
    ),
    "win at chess": Steps(
        ("Bring out your knights and castle early.", "Fight for the middle of the board."),
        ("Look at every check before you move.", "Trade pieces when you are ahead."),
    ),
    "give a speech": Steps(
        ("Know your first sentence by heart.", "Say only three things in your talk."),
        ("Look at the listeners and speak slowly.", "Stop while they still want more."),
    ),
    "wrap a gift": Steps(
        ("Cut the paper a hand wider than the box.", "Put the box upside down on the paper."),
        ("Fold the ends in and tape them.", "Tie a ribbon around it with a bow."),
    ),
    "keep bees": Steps(
        ("Put the hive in a sunny and quiet corner.", "Wear a veil and move slowly."),
        ("Leave enough honey for the bees in winter.", "Open the hive only on warm days."),
    ),
    "paint a fence": Steps(
        ("Scrape the old paint off the boards.", "Choose a dry day and sand the wood."),
        ("Give the boards two thin coats.", "Brush along the grain from top to bottom."),
    ),
    "find a lost key": Steps(
        ("Think of the last door that you opened.", "Search the pockets of your coat."),
        ("Look under the sofa with a torch.", "Then hang the key on a hook for good."),
    ),
}
