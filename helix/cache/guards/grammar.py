"""The closed classes of English: words with a grammatical function, and turns of phrase without content."""

from __future__ import annotations

import re

__all__ = [
    "ARTICLES",
    "AUXILIARIES",
    "CARRIERS",
    "CONJUNCTIONS",
    "CONTRACTIONS",
    "FILLERS",
    "FUNCTION",
    "NEGATIONS",
    "PREPOSITIONS",
    "PRONOUNS",
    "QUESTION_WORDS",
]

ARTICLES = frozenset("a an the some any this that these those".split())
PRONOUNS = {
    word: forms.split()[0]
    for forms in (
        "i me my mine myself",
        "you your yours yourself yourselves",
        "he him his himself",
        "she her hers herself",
        "it its itself",
        "we us our ours ourselves",
        "they them their theirs themselves",
        "one someone somebody anyone anybody everyone everybody people person",
    )
    for word in forms.split()
}
AUXILIARIES = frozenset(
    "am is are was were be been being do does did doing done have has had having will would shall should can could "
    "may might must ought cannot need".split()
)
PREPOSITIONS = frozenset(
    "of in on at to for with by from as into onto about than per via through throughout during within against "
    "between among across along around behind beside besides beyond despite near off out over past since toward "
    "towards under until till up upon without before after above below down inside outside".split()
)
QUESTION_WORDS = frozenset("what which who whom whose when where why how".split())
CONJUNCTIONS = frozenset("and or but nor if then than so because that whether while although though as".split())
NEGATIONS = frozenset("no not none nobody nothing nowhere never neither nor without unless".split())
FILLERS = frozenset(
    "please kindly just simply actually really truly indeed literally basically honestly seriously definitely "
    "certainly surely currently presently now somehow anyway obviously clearly perhaps maybe possibly probably "
    "essentially generally personally even ever also too very quite rather pretty so well there here hi hello hey "
    "thanks thank ok okay oh um uh yes already yet".split()
)
FUNCTION = (
    ARTICLES
    | PRONOUNS.keys()
    | AUXILIARIES
    | PREPOSITIONS
    | QUESTION_WORDS
    | CONJUNCTIONS
    | NEGATIONS
    | FILLERS
    | frozenset("each such both either thing things something anything according think thinks".split())
) - frozenset(("people", "person", "one", "need"))

# The word as it is written to the words that it stands for. "'s" after a noun is left: it may be the possessive.
CONTRACTIONS = {
    **{
        f"{verb}{spelling}": (full, "not")
        for verb, full in (
            *(
                (verb, verb)
                for verb in "is are was were do does did have has had would should could might must need".split()
            ),
            *(("ca", "can"), ("wo", "will"), ("sha", "shall"), ("ai", "is"), ("may", "may"), ("dare", "dare")),
        )
        for spelling in ("n't", "nt")
        if verb + spelling != "want"
    },
    **{
        f"{subject}'{short}": (subject, full)
        for subject in (*PRONOUNS, *QUESTION_WORDS, "there", "that", "here", "this")
        for short, full in (("s", "is"), ("re", "are"), ("m", "am"), ("ll", "will"), ("ve", "have"), ("d", "would"))
    },
    **{
        short: tuple(full.split())
        for short, full in (
            *((f"{verb}'ve", f"{verb} have") for verb in ("could", "should", "would", "might", "must")),
            ("that'd", "that would"),
            ("cannot", "can not"),
            ("im", "i am"),
            ("ive", "i have"),
            ("youre", "you are"),
            ("theyre", "they are"),
            ("whats", "what is"),
            ("hows", "how is"),
            ("wheres", "where is"),
            ("whos", "who is"),
            ("whens", "when is"),
            ("thats", "that is"),
            ("theres", "there is"),
            ("gonna", "going to"),
            ("wanna", "want to"),
            ("gotta", "have to"),
            ("lets", "let us"),
            ("let's", "let us"),
            ("plz", "please"),
            ("pls", "please"),
            ("u", "you"),
            ("ur", "your"),
            ("y'all", "you"),
        )
    },
}

# Turns of phrase that ask without saying what about; the name says which kind of question they make.
_ONE = r"(?:i|you|we|one|someone|people|me|us)"
_GOOD = r"(?:(?:good|best|better|right|correct|proper|possible|recommended) )*"
_WAY = r"(?:ways?|methods?|means|steps?|procedures?|process|processes|approach|technique)"
_CARRIERS = (
    ("case", r"what if|what (?:happens|will happen|would happen) (?:if|when)"),
    ("why", r"how come|(?:for )?what reason|what (?:is|are|was) the reasons?(?: (?:why|for|that|behind))?"),
    (
        "duration",
        r"how (?:much )?long(?:er)?|(?:for )?how much time|how many (?:seconds|minutes|hours|days|weeks|months|years)"
        r"|what (?:is the )?(?:duration|length of time)",
    ),
    ("frequency", r"how often|how frequently|how many times"),
    ("quantity", r"how (?:many|much)|(?:what|which) (?:is the )?(?:number|amount|quantity|sum) of"),
    ("distance", r"how far"),
    ("age", r"how old"),
    (
        "when",
        r"(?:at |on |by |in )?(?:what|which) (?:is the )?(?:time|date|day|hour|month|year)s?|how (?:soon|early|late)",
    ),
    ("where", r"(?:at |in |to |from )?(?:what|which) (?:is the )?(?:place|places|location|locations)"),
    ("who", r"(?:what|which) (?:person|people)"),
    (
        "how",
        rf"(?:what|which) (?:is|are|was|would be|will be|might be|should be|can be) (?:(?:a|an|the|some|any|my) )?"
        rf"{_GOOD}{_WAY}(?: (?:for|of))?(?: {_ONE})?(?: (?:can|could|should|to))?"
        rf"|(?:a|the|any|some) {_GOOD}{_WAY} (?:to|of|for)"
        rf"|what (?:should|can|could|must|do|would|shall|might|will|to)(?: {_ONE})?(?: (?:have|need) to)? do(?: to)?"
        rf"|how (?:do|can|could|should|would|might|must|shall|will|does|did|to)(?: {_ONE})?"
        rf"(?: (?:(?:have|need|want) to|be able to|manage to))?(?: go about)?"
        rf"|how (?:is it|am i|are you|are we) (?:possible|able|supposed)(?: for {_ONE})? to",
    ),
    (
        "whether",
        rf"is there (?:a|an|any|some) {_GOOD}(?:way|chance|possibility|option|method)(?: (?:for|that))?(?: {_ONE})?"
        rf"(?: (?:can|could|to|of))?"
        rf"|(?:is|would|will) it(?: be)? possible(?: for {_ONE})? (?:to|that)|(?:am|are|is) {_ONE} able to",
    ),
    (
        "",
        rf"if {_ONE} (?:want|wanted|need|needed|wish|try|am trying|are trying|would like|plan|intend|am looking|"
        rf"are looking) to"
        r"|go(?:ing)? about|(?:(?:just )?a )?quick question|i have a question"
        r"|in order to|so as to|in fact|of course|at all|kind of|sort of|as a matter of fact|to be honest"
        r"|by any chance|in general|for real|by the way|as well|right now|at the moment|at present|or not"
        r"|(?:(?:can|could|would|will) (?:you|someone|anyone|anybody|somebody) )?(?:please )?(?:kindly )?"
        r"(?:tell|explain|show|help|advise|guide|teach|inform|remind)(?: to)? (?:me|us)"
        r"(?: (?:know|understand|out|with|through|to|about|if))*"
        r"|let (?:me|us) know"
        r"|(?:i|we) (?:would |really |just |also |do |am |are |was |have been )*"
        r"(?:like|love|want|need|wish|trying|looking|wondering|wonder|curious|interested in)"
        r"(?: (?:to|for))?(?: (?:know|understand|find out|learn|ask|knowing|see|hear|get help|help|information))?"
        r"(?: (?:to|if|whether|about|with|on|more about))*"
        r"|(?:do|does) (?:you|anyone|anybody|someone|somebody)(?: happen to)? know(?: (?:if|whether|about))?"
        r"|(?:do you have )?any (?:idea|ideas|clue|advice|tips|suggestions?)(?: (?:on|about|for))?"
        r"|i (?:think|guess|believe|suppose|mean)",
    ),
)
CARRIERS = re.compile(
    r"(?<![^ ])(?:" + "|".join(f"(?P<{asks or 'nothing'}>{pattern})" for asks, pattern in _CARRIERS) + r")(?![^ ])"
)
