"""What is known of each language: its countries' identity numbers, and the words that tell what a number is.

Presidio's own recognizers find the numbers (France's, which it has none for, are in national.py). The words are those
that people write beside a telephone number, a card or an account; they are looked for together with the English ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

__all__ = ["LANGUAGES", "NATIONAL", "National", "check_languages", "check_spoken", "context_words", "national_entities"]


class National(NamedTuple):
    """A country's number: the recognizer that finds it, what it is, and whether it is looked for unless configured.

    `in_context`: its form is so common that it counts only beside a context word. `is_certain`: it counts in what looks
    technical too, since its letter may make it look like a digest.
    """

    recognizer: str
    about: str
    by_default: bool = False
    in_context: bool = False
    is_certain: bool = False


# By language, then kind. What names a business, a vehicle or a place is known, but left alone unless configured.
NATIONAL: Mapping[str, Mapping[str, National]] = {
    "en": {
        "AU_ABN": National("AuAbnRecognizer", "Australian business numbers"),
        "AU_ACN": National("AuAcnRecognizer", "Australian company numbers"),
        "AU_MEDICARE": National("AuMedicareRecognizer", "Australian Medicare numbers"),
        "AU_TFN": National("AuTfnRecognizer", "Australian tax file numbers"),
        "CA_POSTAL_CODE": National("CaPostalCodeRecognizer", "Canadian postal codes"),
        "CA_SIN": National("CaSinRecognizer", "Canadian social insurance numbers"),
        "IN_AADHAAR": National("InAadhaarRecognizer", "Indian Aadhaar numbers"),
        "IN_PAN": National("InPanRecognizer", "Indian permanent account numbers"),
        "IN_PASSPORT": National("InPassportRecognizer", "Indian passport numbers"),
        "IN_VOTER": National("InVoterRecognizer", "Indian voters' identity cards"),
        "NG_NIN": National("NgNinRecognizer", "Nigerian national identification numbers"),
        "PH_PASSPORT": National("PhPassportRecognizer", "Philippine passport numbers"),
        "PH_TIN": National("PhTinRecognizer", "Philippine taxpayer numbers"),
        "PH_UMID": National("PhUmidRecognizer", "Philippine multi-purpose identity numbers"),
        "SG_NRIC_FIN": National("SgFinRecognizer", "Singaporean identity card numbers"),
        "UK_DRIVING_LICENCE": National("UkDrivingLicenceRecognizer", "UK driving licence numbers"),
        "UK_PASSPORT": National("UkPassportRecognizer", "UK passport numbers"),
        "UK_POSTCODE": National("UkPostcodeRecognizer", "UK postcodes"),
        "US_HEALTH_INSURANCE_MEMBER_ID": National(
            "UsHealthInsuranceMemberIdRecognizer", "US health insurance member numbers"
        ),
        "US_MBI": National("UsMbiRecognizer", "US Medicare beneficiary numbers"),
        "US_NPI": National("UsNpiRecognizer", "US national provider numbers"),
        "ZA_ID_NUMBER": National("ZaIdNumberRecognizer", "South African identity numbers"),
        "ZA_PASSPORT": National("ZaPassportRecognizer", "South African passport numbers"),
    },
    "de": {
        "DE_FUEHRERSCHEIN": National("DeFuehrerscheinRecognizer", "German driving licence numbers", True, True),
        "DE_HANDELSREGISTER": National("DeHandelsregisterRecognizer", "German commercial register numbers"),
        "DE_HEALTH_INSURANCE": National("DeHealthInsuranceRecognizer", "German health insurance numbers", True),
        "DE_ID_CARD": National("DeIdCardRecognizer", "German identity card numbers", True, True),
        "DE_KFZ": National("DeKfzRecognizer", "German number plates"),
        "DE_LANR": National("DeLanrRecognizer", "German physicians' numbers", True, True),
        "DE_PASSPORT": National("DePassportRecognizer", "German passport numbers", True, True),
        "DE_PLZ": National("DePlzRecognizer", "German postcodes"),
        "DE_SOCIAL_SECURITY": National(
            "DeSocialSecurityRecognizer", "German pension insurance numbers", True, False, True
        ),
        "DE_TAX_ID": National("DeTaxIdRecognizer", "German tax identification numbers", True),
        "DE_TAX_NUMBER": National("DeTaxNumberRecognizer", "German tax numbers", True, True),
        "DE_VAT_ID": National("DeVatIdRecognizer", "German VAT numbers"),
    },
    "es": {
        "ES_NIE": National("EsNieRecognizer", "Spanish foreigners' identity numbers", True),
        "ES_NIF": National("EsNifRecognizer", "Spanish identity and tax numbers (DNI, NIF)", True),
        "ES_PASSPORT": National("EsPassportRecognizer", "Spanish passport numbers", True, True),
    },
    "fi": {
        "FI_PERSONAL_IDENTITY_CODE": National(
            "FiPersonalIdentityCodeRecognizer", "Finnish personal identity codes", True
        ),
    },
    "fr": {
        "FR_NIR": National("FrNir", "French social security numbers (NIR, INSEE) with a valid key", True, False, True),
        "FR_PASSPORT": National("FrPassport", "French passport numbers", True, True),
        "FR_TAX_ID": National("FrTaxId", "French tax numbers (SPI) with a valid key", True, True),
    },
    "it": {
        "IT_DRIVER_LICENSE": National("ItDriverLicenseRecognizer", "Italian driving licence numbers", True, True),
        "IT_FISCAL_CODE": National("ItFiscalCodeRecognizer", "Italian fiscal codes", True),
        "IT_IDENTITY_CARD": National("ItIdentityCardRecognizer", "Italian identity card numbers", True, True),
        "IT_PASSPORT": National("ItPassportRecognizer", "Italian passport numbers", True, True),
        "IT_VAT_CODE": National("ItVatCodeRecognizer", "Italian VAT numbers"),
    },
    "ko": {
        "KR_BRN": National("KrBrnRecognizer", "Korean business registration numbers"),
        "KR_DRIVER_LICENSE": National("KrDriverLicenseRecognizer", "Korean driving licence numbers", True, True),
        "KR_FRN": National("KrFrnRecognizer", "Korean foreigner registration numbers", True),
        "KR_PASSPORT": National("KrPassportRecognizer", "Korean passport numbers", True, True),
        "KR_RRN": National("KrRrnRecognizer", "Korean resident registration numbers", True),
    },
    "pl": {"PL_PESEL": National("PlPeselRecognizer", "Polish PESEL numbers", True)},
    "sv": {
        "SE_ORGANISATIONSNUMMER": National("SeOrganisationsnummerRecognizer", "Swedish organisation numbers"),
        "SE_PERSONNUMMER": National("SePersonnummerRecognizer", "Swedish personal identity numbers", True),
    },
    "th": {"TH_TNIN": National("ThTninRecognizer", "Thai national identity numbers", True)},
    "tr": {
        "TR_LICENSE_PLATE": National("TrLicensePlateRecognizer", "Turkish number plates"),
        "TR_NATIONAL_ID": National("TrNationalIdRecognizer", "Turkish identity numbers", True),
    },
    "nl": {},
    "pt": {},
}

LANGUAGES = tuple(sorted(NATIONAL))
"""Every language that has words or numbers here, by its ISO 639-1 code."""

# By language, then kind: the words that raise a finding beside which they stand.
_WORDS: Mapping[str, Mapping[str, str]] = {
    "de": {
        "PHONE_NUMBER": "telefon telefonnummer handy handynummer mobil rufnummer anrufen erreichbar fax tel",
        "CREDIT_CARD": "kreditkarte karte kartennummer",
        "US_BANK_NUMBER": "konto kontonummer",
        "DATE_TIME": "datum geboren geburtsdatum geburtstag",
        "EMAIL_ADDRESS": "mail mailadresse",
    },
    "es": {
        "PHONE_NUMBER": "teléfono telefono móvil movil celular llamar llámame llame fax tel",
        "CREDIT_CARD": "tarjeta crédito credito débito",
        "US_BANK_NUMBER": "cuenta",
        "DATE_TIME": "fecha nacimiento nacido nacida",
        "EMAIL_ADDRESS": "correo",
    },
    "fr": {
        "PHONE_NUMBER": "téléphone telephone portable mobile appeler appelez joindre fax tél tel",
        "CREDIT_CARD": "carte bancaire bleue crédit",
        "US_BANK_NUMBER": "compte",
        "DATE_TIME": "date né née naissance",
        "EMAIL_ADDRESS": "courriel mél",
    },
    "it": {
        "PHONE_NUMBER": "telefono cellulare chiamare chiamami fax tel",
        "CREDIT_CARD": "carta credito",
        "US_BANK_NUMBER": "conto",
        "DATE_TIME": "data nato nata nascita",
        "EMAIL_ADDRESS": "posta",
    },
    "nl": {
        "PHONE_NUMBER": "telefoon telefoonnummer mobiel bellen bereikbaar tel",
        "CREDIT_CARD": "creditcard kaart",
        "US_BANK_NUMBER": "rekening rekeningnummer",
        "DATE_TIME": "datum geboren geboortedatum",
    },
    "pl": {
        "PHONE_NUMBER": "telefon telefonu komórka zadzwoń dzwonić tel",
        "CREDIT_CARD": "karta karty",
        "US_BANK_NUMBER": "konto konta rachunek",
        "DATE_TIME": "data urodzenia urodzony urodzona",
    },
    "pt": {
        "PHONE_NUMBER": "telefone telemóvel celular ligar ligue tel",
        "CREDIT_CARD": "cartão crédito",
        "US_BANK_NUMBER": "conta",
        "DATE_TIME": "data nascimento nascido nascida",
    },
    "sv": {
        "PHONE_NUMBER": "telefon telefonnummer mobil mobilnummer ring ringa tel",
        "CREDIT_CARD": "kort kortnummer kreditkort",
        "US_BANK_NUMBER": "konto kontonummer",
        "DATE_TIME": "datum född födelsedatum",
    },
    "fi": {
        "PHONE_NUMBER": "puhelin puhelinnumero matkapuhelin soita puh",
        "CREDIT_CARD": "kortti luottokortti",
        "US_BANK_NUMBER": "tili tilinumero",
        "DATE_TIME": "päivämäärä syntynyt syntymäaika",
    },
    "tr": {
        "PHONE_NUMBER": "telefon cep ara arayın tel",
        "CREDIT_CARD": "kart kartı kredi",
        "US_BANK_NUMBER": "hesap",
        "DATE_TIME": "tarih doğum",
    },
}


def check_languages(languages: Sequence[str], more: Iterable[str] = ()) -> None:
    """Raise ValueError for a language that neither stands here nor among `more` (those of an NLP engine's models)."""
    known = sorted({*LANGUAGES, *more})
    if not languages:
        raise ValueError(f"name at least one language; known are {', '.join(known)}")
    for language in languages:
        if language not in known:
            raise ValueError(f"unknown language {language!r}; known are {', '.join(known)}")
    if len({*languages}) < len(languages):
        raise ValueError("a language stands there twice")


def check_spoken(entities: Iterable[str], languages: Sequence[str]) -> None:
    """Raise ValueError for a kind that is found in other languages' texts alone."""
    for kind in entities:
        spoken = [language for language, kinds in NATIONAL.items() if kind in kinds]
        if spoken and not {*spoken} & {*languages}:
            raise ValueError(f"{kind} is found in texts of the language {spoken[0]!r}, which is not among languages")


def national_entities(languages: Iterable[str]) -> list[str]:
    """The kinds that are looked for in texts of these languages unless configured."""
    return [kind for language in languages for kind, of in NATIONAL.get(language, {}).items() if of.by_default]


def context_words(kind: str, languages: Iterable[str]) -> list[str]:
    """The words that stand beside a kind in these languages."""
    return [word for language in languages for word in _WORDS.get(language, {}).get(kind, "").split()]
