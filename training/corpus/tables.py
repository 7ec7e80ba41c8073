"""The small tables of facts and words from which questions, lists and stories are put together."""

# Words are easiest to read and change in blocks.
# ruff: noqa: E501, SIM905
# fmt: off

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon",
    "England": "London", "the United Kingdom": "London", "Ireland": "Dublin", "Scotland": "Edinburgh",
    "Norway": "Oslo", "Sweden": "Stockholm", "Denmark": "Copenhagen", "Finland": "Helsinki",
    "Iceland": "Reykjavik", "Poland": "Warsaw", "Austria": "Vienna", "Switzerland": "Bern",
    "Belgium": "Brussels", "the Netherlands": "Amsterdam", "Greece": "Athens", "Hungary": "Budapest",
    "Romania": "Bucharest", "Bulgaria": "Sofia", "Croatia": "Zagreb", "Ukraine": "Kyiv",
    "Russia": "Moscow", "Turkey": "Ankara", "Egypt": "Cairo", "Morocco": "Rabat", "Kenya": "Nairobi",
    "Nigeria": "Abuja", "Ethiopia": "Addis Ababa", "Ghana": "Accra", "Japan": "Tokyo",
    "China": "Beijing", "South Korea": "Seoul", "India": "New Delhi", "Thailand": "Bangkok",
    "Vietnam": "Hanoi", "Indonesia": "Jakarta", "the Philippines": "Manila", "Iran": "Tehran",
    "Iraq": "Baghdad", "Saudi Arabia": "Riyadh", "Australia": "Canberra", "New Zealand": "Wellington",
    "Canada": "Ottawa", "the United States": "Washington", "the USA": "Washington",
    "Mexico": "Mexico City", "Cuba": "Havana", "Brazil": "Brasilia", "Argentina": "Buenos Aires",
    "Chile": "Santiago", "Peru": "Lima", "Colombia": "Bogota", "Venezuela": "Caracas",
}

OPPOSITES = {
    "hot": "cold", "big": "small", "fast": "slow", "happy": "sad", "day": "night", "up": "down",
    "old": "young", "light": "dark", "wet": "dry", "hard": "soft", "early": "late", "open": "closed",
    "full": "empty", "rich": "poor", "long": "short", "high": "low", "good": "bad", "left": "right",
    "loud": "quiet", "near": "far", "strong": "weak", "clean": "dirty", "heavy": "light", "true": "false",
}

NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
).split()

NAMES = (
    "Anna Ben Clara David Emma Felix Grace Henry Iris Jack Kate Leo Maria Nina Oscar Paula Quinn Rosa Sam "
    "Tom Uma Victor Wendy Yuki Zoe Alice Bob Carol Daniel Eve Frank Hannah Ivan Julia Karl Lena Max Noah "
    "Olga Peter Rita Simon Tara Paul Lucy Martin Sarah James John Mary Linda Robert Laura Mike Amir Priya "
    "Chen Diego Fatima Hugo Ines Jonas Kofi Lars Mei Nadia Omar Pablo Ravi Sofia Tariq Vera Wei Ana Luis "
    "Elena Marco Greta Otto Nora Theo Ella Finn Mila Adam Susan Steve Alex Chris Jane Joe"
).split()

PERSONAS = (
    "Ada Nova Atlas Luna Milo Sage Echo Pixel Robin Juno Orion Willow Falcon Max Bella Coco Rex Aria "
    "Kai Sunny Pepper Ruby Jasper Hazel Nimbus Otto Zara Bolt Iris Captain Marlow Piper Scout Ziggy"
).split()

CITIES = (
    "Paris London Berlin Rome Madrid Lisbon Vienna Oslo Tokyo Boston Chicago Seattle Dublin Prague Athens "
    "Cairo Delhi Sydney Toronto Lima Nairobi Hamburg Munich Milan Zurich Austin Denver Osaka Seoul Mumbai"
).split()

LISTS = {
    "fruits": "apples pears plums cherries grapes oranges lemons bananas peaches".split(),
    "vegetables": "carrots onions peas beans tomatoes potatoes spinach leeks".split(),
    "animals": "cats dogs horses owls foxes otters whales bears elephants".split(),
    "colours": "red blue green yellow orange purple white black".split(),
    "colors": "red blue green yellow orange purple white black".split(),
    "birds": "owls robins sparrows swans eagles crows ducks gulls".split(),
    "trees": "oaks birches pines maples willows beeches limes".split(),
    "flowers": "roses tulips lilies daisies poppies violets".split(),
    "sports": "running swimming rowing tennis football cycling climbing".split(),
    "drinks": "water tea coffee milk juice lemonade".split(),
    "instruments": "the piano, the violin, the flute, the guitar, the drums, the cello, the trumpet".split(", "),
    "planets": "Mercury Venus Mars Jupiter Saturn Uranus Neptune".split(),
    "cities": CITIES,
    "countries": "France, Japan, Kenya, Brazil, Norway, Canada, India, Egypt, Peru".split(", "),
    "hobbies": "reading painting gardening cooking hiking chess singing".split(),
    "tools": "a hammer, a saw, a drill, a brush, a ruler, a wrench".split(", "),
    "programming languages": "Python, Java, Rust, Go, C, Ruby, Swift".split(", "),
    "jobs": "a baker, a nurse, a teacher, a gardener, a pilot, a carpenter".split(", "),
}

REASONS_TO_STREAM = [
    "the first word comes sooner", "people can read while the model writes", "the wait feels shorter",
    "an answer can be stopped early", "a voice can start to speak with the first sentence",
    "a slow network hurts less", "a failure is noticed early",
]

THINGS = (
    "the sea, the moon, a river, the rain, the wind, a garden, a cat, the stars, the morning, the snow, a train, "
    "a library, a lighthouse, a small model, a server, the autumn, a bird, a mountain, a clock, a market, "
    "the summer, a friend, the night, a bridge, music, coffee, a token, the edge, a dog, winter, spring, a robot, "
    "a dragon, a computer, a king, a ship, a forest, time, love, the sun"
).split(", ")

FAVOURITES = {
    "colour": "red blue green yellow orange purple white black silver pink".split(),
    "color": "red blue green yellow orange purple white black silver pink".split(),
    "food": "pizza pasta soup rice bread salad curry sushi pancakes cheese".split(),
    "animal": "the otter, the owl, the fox, the horse, the whale, the cat, the dog, the bear".split(", "),
    "number": "7 3 12 42 5 21 99 13 8 100".split(),
    "city": CITIES,
    "season": "spring summer autumn winter".split(),
    "drink": "tea coffee water milk lemonade cocoa".split(),
    "sport": "tennis football running swimming chess rowing cycling".split(),
    "fruit": "apples pears plums cherries grapes bananas mangoes".split(),
}

ORDINARY_WORDS = (
    "apple river window yellow bread garden silver morning pencil cloud table mountain paper candle button "
    "orange coffee summer winter music letter bridge forest island market number planet pocket rabbit school "
    "shadow spring stone street sugar tiger tower valley village water wonder zebra basket bottle camera "
    "castle circle corner cotton dinner doctor dragon engine family farmer finger flower friend guitar hammer "
    "harbour honey house jacket kitchen ladder lemon lizard magnet mirror monkey needle ocean parrot pepper "
    "piano pillow pilot pirate potato prince puzzle rocket saddle salmon singer spider temple ticket tomato "
    "turtle violin wagon walnut whistle wizard stream token model server replica latency"
).split()

UNFAMILIAR = (
    "accordion airport algebra anchor anthem apron aquarium archery armchair asphalt aspirin avocado badger bakery ballet bamboo banjo "
    "barometer basil battery beaver blanket blender blueprint broccoli bulldozer cactus calendar camel canoe carpet cement ceramics "
    "chandelier clarinet compass concrete copper coral cricket crocodile curtain detergent diesel drill eczema elevator "
    "envelope espresso eyebrow fencing ferry fig fountain freezer furnace garage geometry ginger giraffe glacier glue goose "
    "granite hammock harp hedgehog helicopter helmet hockey hurricane igloo insurance ivory jaguar jelly judo kangaroo karate kettle "
    "keyboard kiwi koala lacrosse lantern lawyer leather linen lobster magnesium mandolin marathon marble mattress "
    "microscope migraine mortgage mosquito mushroom mustard nickel noodle nutmeg octopus opera origami ostrich oyster paprika parachute "
    "passport peanut penicillin plumber plywood porcelain porridge prison quartz quilt raccoon radar raisin rhubarb rubber "
    "sandal sapphire sauna saxophone scissors scooter scorpion shampoo shipyard silk skateboard sofa squirrel stapler submarine suitcase "
    "sunscreen surgery syrup tailor tango taxes telescope thermostat thunder toaster tornado tractor trampoline trumpet tulip "
    "tunnel turbine typewriter umbrella unicorn vaccine vanilla velvet vinegar visa vitamin waffle wallet wasp wedding wheat whisky "
    "windmill wool wrestling xylophone yacht yoga yogurt zinc zipper"
).split()
