"""What people write with personal data in it: sentences, requests, letters and forms, all written for this recipe.

`{slot}` is a value (values.py), `[a|b|]` is one of several ways to say it. Nothing here comes from any data set.
"""

from __future__ import annotations

__all__ = ["ASKS", "CONTEXT_KEYS", "FORMS", "LETTERS", "PLAIN", "SENTENCES"]

SENTENCES = r"""
[Hi|Hello|Hey|Good morning|Dear support], [my name is|I'm|this is|I am] {person}[.| and I need help with my account.| from {city}.|, {age} years old, from {place}.]
[Hi|Hello|Hey|Dear|Good afternoon|Morning] {anyone}[,|!| -] [thanks for the quick reply|could you look at this please|hope you are well|any news on order {id}?]
{anyone} [called|phoned|rang|texted|emailed] [today|this morning|on {day}|at {time}] [about|regarding|asking about] [the invoice|her refund|his appointment|their booking|a complaint].
[Please|Can you|Could you|Kindly] [send|ship|deliver|forward|post|mail] [it|the parcel|the order|my new card|the documents] to {address}[.|?|, thanks!| by {date}.]
I [live|used to live|grew up|was born|am staying|am based] in {place}[.| with my {age}-year-old son.| since {year}.| but my family is from {country}.]
My [address|home address|billing address|shipping address|new address|office address] is {address}[.||, please update it.| and my phone is {phone}.]
I [moved|am moving|have just moved|will relocate] from {place} to {place} [on {date}|in {year}|last week|because of work at {org}|].
{person} [was born|b.|born] [on|] {date} [in|at] {place}[.| and died in {year}.| to {nrp} parents.]
{person} ({age}) [from|of] {place} [won|was arrested|got married|passed away|was seen] on {date}.
[My|Her|His|Our] {nrp} [colleague|neighbour|friend|teacher|manager|boss|landlord|doctor] {anyone} [speaks three languages|will pick it up|moved to {place}|works at {org}].
[He|She|My wife|My husband|My son|My daughter|The patient|The client|The driver] is {age}[| years old| yrs old|yo| y/o|-years-old] and [lives in {place}|works as a {job}|has asthma|likes chess].
[I|We|She|He|They] [work|works|worked|used to work|interned] [at|for|with] {org} [as a {job}|as {job}|in {city}|until {date}|since {year}|].
{org} [hired|fired|promoted|sued|acquired|contacted] {person}[.| in {year}.| on {date}.|, a {job} from {place}.]
{person}, {job} [at|of|with|for] {org}, [said|told reporters|wrote|confirmed|denied] [that|] [the deal is off|it works|profits fell|they will open in {city}].
[The|Our] meeting with {anyone} [is|was] [moved to|on|scheduled for|planned for] {date}[| at {time}][.| in {city}.| at {address}.]
[Book|Reserve|Find|Get] me a [flight|train|bus|hotel|table] [from {city} to {city}|in {city}|to {country}|near {landmark}] [on|for] {date}[| for two| under the name {person}].
[What|How] is the weather in {place} [on {day}|today|in {date}|right now]?
[Who is|Tell me about|Write a short biography of|What do you know about|Look up] {person}[?|.| from {org}.]
[Write|Draft|Compose] [an email|a letter|a note|a message|a card] to {anyone} [about|regarding|explaining] [the delay|my resignation|our trip to {place}|her late rent|the {org} contract].
[Summarise|Translate|Rewrite|Shorten|Proofread] this [politely|for {anyone}|into {nrp}|]: "{anyone} [told|asked|emailed] {anyone} that [the shipment to {city} is late|{org} has not paid|they meet on {day}]."
{names} [are|were] [in the room|on the call|invited|late|absent|copied on this thread|on the team].
[Attendees|Participants|Present|CC|Cc|To|From|Absent|Speakers|Team|Guests]: {names}
[Assign|Give|Hand] [ticket|task|case] {id} to {anyone}[.| and tell {anyone}.| please]
[Can|Could] {anyone} [join|take this|review it|call me back on {phone}|meet us in {city}] [on {day}|at {time}|tomorrow|]?
I [spoke|talked|chatted] [to|with] {anyone} [from|at|of] {org} [yesterday|on {date}|last week] [but|and] [nobody called back|she was rude|he promised a refund of {amount}].
{anyone}'s [address|house|passport|account|flight|appointment|daughter|car|phone] [is|was] [lost|at {address}|in {city}|{phone}|cancelled on {date}].
[the|my] [customer|tenant|applicant|employee|student|patient|guest] {person}[, born {date},|, {age},|, id {id},| of {address}] [wants|asks for|has requested|needs] [a refund|a visa|an extension|a copy].
{person} [lives|resides|can be found|stays] [at|in] {address}[.| with {person}.|, and works at {org}.]
[The|A] {nrp} [embassy|government|passport|restaurant|team|company|citizen|film] [in {city}|] [rejected|opened|renewed|lost|announced] [it|the visa|on {date}|].
{nrps} [and|or] {nrps} [need|need no|can apply for|do not need] a visa for {country}.
[Is|Was] {anyone} {nrp} or {nrp}?
I am [a|an] {nrp} [citizen|national|student|nurse] [living|working|studying] in {place}.
[She|He|{anyone}] [speaks|is|sounds|looks|identifies as] {nrp}[.| and lives in {place}.]
[Are there any|Where are the best|Looking for] {nrp} [restaurants|schools|churches|shops|lawyers] [in|near|around] {place}[?|]
[Patient|Pt|Client|Insured|Claimant|Employee|Candidate|Name|Customer|Contact]: {person}[, DOB {date}|, {age}M|, {age} F|, aged {age}|, MRN {id}|, tel {phone}|]
{titled} [prescribed|diagnosed|recommended|saw] [the patient|{anyone}|me] [on {date}|with diabetes|at {org}].
[Referred by|Seen by|Signed by|Approved by|Reviewed by|Written by|Posted by|Sent by|Prepared for|Attn:|c/o] {anyone}[, {job}|, {org}| on {date}|]
{anyone} [owes|paid|sent|transferred|lent] {anyone} {amount}[.| on {date}.| for the trip to {place}.]
My card [number is|ends in|is] {card}[, name on card {person}|, holder {person}|, exp 04/27|].
[Transfer|Wire|Send] {amount} to {person}, IBAN {iban}[, {org}|, reference {id}|].
my ssn is {ssn} and [my name is {person}|i live at {address}|dob {date}]
[Reach|Call|Contact|Text|Ring|Phone|Reach out to] {anyone} [at|on] {phone}[| or {email}| after {time}].
[My phone|My number|Cell|Tel|Mobile|Fax|Phone|Office] [is|:|-|no.] {phone}
{phone} is [my|her|his|the office] [number|cell|phone|mobile][, ask for {anyone}|].
You can [also |]email {anyone} [at|on] {email} or visit {url}.
[We|They|I] [flew|drove|travelled|went|walked] [from {city} to {city}|to {place}|through {place}|across {country}] [with {anyone}|on {date}|in {year}|].
[Happy birthday|Congratulations|Welcome|Thank you|Good luck|Sorry|Thanks|RIP|Get well soon] {anyone}[!|,|.| from all of us at {org}!]
[Best|Regards|Kind regards|Thanks|Cheers|Sincerely|Yours truly|Best wishes|Love|Thx|Many thanks],\n{person}[\n{job}|\n{job}, {org}|\n{org}\n{address}|\n{phone}|]
-- \n{person} | {job} | {org} | {phone}
[remind|tell|ask|call|message|email|text] {anyone} [to|about] [the dentist at {time}|picking up {anyone}|the meeting in {city}|buy milk|renew the passport]
[set a reminder|add to calendar|schedule]: [dinner|lunch|call|meeting|flight] with {anyone} [on|at] {date}
play [something by|the new album of] {person}
[i think|maybe|pretty sure|lol] {anyone} [is in {place}|is dating {anyone}|left {org}|hates {nrp} food]
[u up|yo|hey|omg] {first} [when are you coming to {city}|did you see {first}|happy bday|call me]
{first}: [hey|hi|ok|lol|are you there?|see you at {time}]\n{first}: [yes|in {city}|sure {first}|bring {first} too|at {address}]
[Agent|User|Customer|Bot|Support|Human|Assistant]: [Hello|Hi], [how can I help you, {anyone}?|I am {person}.|is this {anyone}?|my postcode is {zip}]
Q: [Where does|When did] {anyone} [live|join|move]?\nA: [In|At|Since] [{place}|{org}|{year}]
[It|This|The event|The concert|The workshop] [takes place|happens|is|was] [in|at|near] {landmark}[, {city}|] on {date}.
[Take|Turn|Exit] [left|right|off] [onto|at|on] {street}[, then right onto {street}| and stop at number {n}| in {city}].
[The office|Our shop|The clinic|The warehouse|Our headquarters] [is|was] [at|on|located at|located on] {street}[, {city}| in {city}|, {unit}|, {city} {zip}].
[zip|zip code|postcode|postal code|ZIP]: {zip}[, {city}|]
[city|City|CITY|town]: {city}[, state: {state}|, country: {country}|]
I need [directions|a taxi|an ambulance|a plumber|an Uber] [to|at|from] {address}[!|.| now| at {time}]
[From|Between] {date} [to|until|and] {date} [I will be in {place}|{anyone} covers for me|the office in {city} is closed].
The [contract|lease|policy|warranty|visa|subscription] [of {person}|with {org}|] [expires|ends|starts|was signed] [on|in] {date}.
[Date of birth|DOB|D.O.B.|Birthday|born on|Birth date][: | ]{date}[, place of birth: {city}|, nationality: {nrp}|]
It was {day}[, {date},|] when {anyone} [arrived|left {city}|joined {org}|died].
[In|Since|Before|After|Around|By] {year}[,|] {anyone} [moved to {place}|founded {org}|retired|wrote to {anyone}].
[Every|On|Next|This|Last] {day} [{anyone} visits {anyone}|we meet at {landmark}|the shop in {city} is closed].
{org} [is|was] [founded|based|headquartered|located|registered] in {place}[ in {year}| by {person}| at {address}|].
[Shares|Revenue|Employees|Customers] of {org} [fell|rose|grew|complained] [in|after] {date}.
[Has|Did|Does] anyone at {org} [know|remember|use] {anyone}?
{person} v. {person}[, {year}|], [heard in {city}|decided on {date}]
[Landlord|Tenant|Buyer|Seller|Plaintiff|Defendant|Witness|Lender|Borrower] {person}, [residing at|of|with address] {address}[, hereby agrees|, and {person}, of {address}|]
[This agreement|This lease|This letter] is [made|entered] [on|as of] {date} [between|by] {person} and {org}.
{person} [studied|studies|teaches|taught] [physics|law|medicine|art] at {org} [in {city}|from {year} to {year}|].
[Emergency contact|Next of kin|Spouse|Reference|Guardian|Parent|Manager|Supervisor|Owner]: {person}[ ({phone})|, {phone}|, {job}|]
[Guest|Passenger|Traveller|Driver] {person}[, {nrp},|,] [passport|licence|booking] {id}, [from {city} to {city}|room {n}|seat {n}A]
{reversed}[ - {job}| ({age})| {phone}| | {id}|: {date}]
{n}. {person} - {city}[ - {job}|]
- {person}[, {org}| ({city})|: {phone}| <{email}>|]
{person} <{email}>[, {person} <{email}>|]
On {date}[ at {time}|], {person} <{email}> wrote:\n> [Hi|Dear|Hello] {first},
[Sehr geehrte Frau|Sehr geehrter Herr|Cher|Chère|Estimado|Estimada|Caro] {last}, [vielen Dank|merci|gracias|grazie]
[mr|mrs|ms|dr] {last} [is|was] [here|late|waiting|rude] [in {city}|again|]
[The|Is the] [{prefix}|{job}] [in|out|here|available]?
I [report|talk|answer] to [the|our] {job}[, {person}|, {titled}|].
We are [hiring|looking for] a {job} in {city}[, contact {person}|].
[ok|thanks|perfect|yes|no|sorry] {first}[| !!| :)|, see you {day}|, say hi to {first}]
{person}
{anyone}
{address}
{place}
{person}, {address}
{person}\n{address}[\n{phone}|\n{country}|]
{person}[ | - | / |\t]{phone}
{city}, {state}
{city}, {country}
{org}
{date}
{org}\n{address}
{first} and {first} {last} [got|are] [married|engaged|divorced][ in {place}| on {date}|].
[Mother|Father|Mom|Dad|Uncle|Aunt|Grandma|Cousin|Sister|Brother] {first} [lives in {place}|turned {age}|called|loves {nrp} food].
[I|We] [love|hate|miss|visited|left] {place}[!|.| so much.| in {date}.]
My [first|last|full|maiden|middle] name is {first}[.| but people call me {first}.]
The name's {last}[.|, {person}.]
[name|Name|NAME][: |=|: "|: ']{person}
sign[ed|ature]: {person}[, {date}|]
"{person}" [is my legal name|was misspelled as "{person}"|should read "{person}"].
[please change|update|correct] [my name|the name on the account] from {person} to {person}
[Does|Will] {org} [deliver|ship] to {place}?
[Order|Ticket|Case|Booking|Invoice] {id}[: | - | for ]{person}[, {address}|, {city}|, {amount}|, {date}]
[Deliver|Ship] to: {person}, {address}[, tel. {phone}|]
[i|I] [want|would like|need] to [return|cancel|change] order {id}, [name|it's under] {person}, [zip|postcode] {zip}
[Kids|Children|Siblings|Pets excluded, family]: {first} ({age}), {first} ({age})[ and {first} ({age})|]
At {age}, {anyone} [moved to {place}|became a {job}|retired|joined {org}].
[aged|age|Age|AGE][: | ]{age}[, sex: F|, male|, female|]
a {age}[-year-old| year old|-yr-old| y.o.|yo] [man|woman|boy|girl|male|female|patient|{nrp}] [from {place}|named {person}|with chest pain|]
[Between|People] {age} [and|to] {age} years of age in {place}
[{person} and {person}|{names}] [co-founded|run|left|own] {org}[ in {city}|].
The [mayor|governor|president|king|queen|bishop|ambassador] of {place}, {person}, [met|thanked|visited] {anyone}.
[Interview|Podcast|Webinar|Dinner] with {person} ({org})[, {date}|]
[Article|Photo|Review|Story|Written] by {person}[, {city}|, {date}|]
[fyi|btw|note] {first}[ {last}|] [from accounting|in HR|at reception|from {city}] [is out until {day}|has the keys|speaks {nrp}]
[RE|Re|FW|Fwd|Subject]: [{anyone}'s contract|trip to {city}|{org} invoice {id}|meeting with {person}|{person} - offer letter]
[Where|How far] is {place} from {place}?
[Ship|Is it possible to send] [this|it] from {country} to {country}?
[The|] [flood|earthquake|storm|election|match] in {place} [killed {n}|was on {date}|made {anyone} famous].
[North|South|East|West] of {place}[, near {landmark}|], [between {city} and {city}|off {street}].
Please [join|invite|welcome] {names} [to the channel|to our team in {city}|].
@{user} [please ask {first}|ping {first}|{first} merged it] 
{user} ({person}) [logged in|opened ticket {id}|commented]
[I'd like|I want] to [pay|settle] with [card|visa] {card}, [billing zip|zip] {zip}, {city}
[Our|The] new [address|office] [as of|from|since] {date}: {address}
[Thanks for|Re] your [order|visit], {titled}[!|.| ]We [ship|will ship] it to {street}, {city} [on {day}|].
the [guy|lady|man|woman] [called|named] {first}[ {last}|] [at the desk|from {country}|in {city}] [was helpful|lied to me]
"""

PLAIN = r"""
[Write|Compose] a [poem|haiku|story|song|limerick] about [the sea|autumn|a robot|spring rain|loneliness|a lost dog|May flowers].
[What|Which] is the [capital|population|difference|best way|square root|formula] [of water|of {n}|to learn Python|between a list and a tuple|to boil an egg]?
[Explain|Describe] [quantum computing|photosynthesis|recursion|inflation|how a transformer works|the Doppler effect] [to a child|in simple terms|in {n} words].
[Give me|List|Suggest] {n} [ideas|tips|names for a cat|recipes with chicken|synonyms of happy|interview questions].
[Can you|Please|Could you] [help me|fix this|check the grammar|make it shorter|explain the error|continue|try again].
[The|A] [order|parcel|invoice|package|payment] [has not arrived|is late|was refunded|arrived damaged|is {n} days late]. [What now?|Please help.|]
[Will|May|Mark|Bill|Grant|Rich|Frank|Jack|Art|Rose|Hope|Faith|Grace|Joy|Summer|Dawn|Chase|Drew|Pat] [the|a|of|in|to|it] [file as read|payment|new season|plan|price|day off|design be approved]
I will mark the bill as paid in [the system|full|advance|cash].
[Thank you|Thanks|Ok|Okay|Sure|Yes|No|Great|Perfect|Hello|Hi there|Good morning|Hey team|Dear team|Dear customer|Hi all|To whom it may concern][!|,|.|]
[You are|Act as] [a helpful assistant|an expert translator|a senior developer|a friendly tutor|a strict reviewer]. [Answer briefly.|Use markdown.|Return JSON only.|Think step by step.]
[Return|Output|Respond with] [only JSON|a table|valid YAML|one word|yes or no], [no prose|nothing else|with keys name, city and age].
[The total|It] [is|was|comes to] {amount}, [plus tax|including shipping|due in {n} days|as agreed].
[Turn|Convert|Change] {n} [miles to km|dollars to euros|degrees to radians|cups to grams].
[How do I|How can I|What's the way to] [reset my password|close my account|change my plan|export my data|cook rice|tie a tie|install {product}|use {product} with {product}]?
[Use|Install|Upgrade|Configure|Deploy|Restart|Try|Run] {product} [with|on|behind|instead of|for|before] {product}[.| and {product}.| {n}.{n}.|?]
{product} [{n}.{n}|v{n}|] [supports|is faster than|depends on|replaces|connects to|runs on|was released with] {product}[.| by default.]
[My|Our|The] {product} [server|cluster|build|job|pipeline|container|client|plugin|query] [fails|hangs|crashed|is slow] [with error {n}|after the update|on {product}|when {product} restarts].
[We use|Our stack is|Experience with] {product}, {product}, {product} and {product}[.|, some {product}.]
[import|from|require|using|include|use] {product}[ as x|;|.core| import Client|]
[Compare|Difference between] {product} [and|vs|or] {product}[?|]
[Chapter|Section|Figure|Table|Step|Version|Page|Part|Level|Line] {n}[: Introduction|. Getting Started|: Advanced Usage|. Conclusion|]
[Breakfast|Lunch|Dinner|Coffee|Pizza|Tea|Soup] [is ready|at noon|was great|for {n} people|tonight]?
[My|The] [doctor|lawyer|teacher|manager|landlord|wife|son|dog|cat|boss|neighbour] [said|thinks|told me|says] [I should rest|it is fine|no|we need more time].
[I feel|I'm feeling|She feels|He is] [sad|tired|happy|anxious|sick] [today|lately|after the move|about work].
[The cat|Our dog|The team|The company|The city|The president|The university|A hospital|The government] [sleeps|won|lost|opened|announced it|is closed today].
"""

LETTERS = r"""
Dear {titled},\n\n[Thank you for your|I am writing about your|We have received your] [letter|application|claim|order {id}] [of|dated|from] {date}. [We will visit you at {address}.|Please call {person} on {phone}.|Our office in {city} will contact you.]\n\n[Yours sincerely|Kind regards|Best regards],\n{person}\n{job}\n{org}
Subject: [Complaint|Refund|Booking|Interview|Invoice {id}]\n\nHi {first},\n\n[I ordered|I booked|I bought] [it|a room|two tickets] on {date} [and|but] [nothing arrived|{anyone} never answered|your driver left it at {street}]. [My details|Details]: {person}, {address}, {phone}.\n\n[Thanks|Cheers],\n{first}
{person}\n{address}\n\n{date}\n\n{org}\n{address}\n\n[Dear Sir or Madam|Dear {titled}|To whom it may concern],\n\nI [hereby|would like to] [cancel|terminate|renew] [my contract|the lease|policy {id}] [as of|on] {date}.\n\n{person}
[Extract|Pull|List] [all names|the entities|the fields|name, address and date] [from|in] [this text|the text below|the following]:\n\n{person}, {age}, a {nrp} {job}, [moved|came] to {address} in {year}. [Contact: {phone}.|{org} employs {anyone}.]
[Meeting notes|Minutes|Standup], {date}\n[Present|Attendees]: {names}\n- {first} [to call|will visit|emails] {org}\n- {anyone} [moves to {city}|is on leave until {day}|reviews {id}]\n- [Next meeting|Next]: {date}, {landmark}
{org}\n[Invoice|Receipt|Statement] [no.|#] {id}\n[Bill to|Sold to]: {person}\n{address}\n[Date|Issued]: {date}\n[Total|Amount due]: {amount}
[Patient|Name]: {person}\n[DOB|Date of birth]: {date} ([age|aged] {age})\n[Address|Addr]: {address}\n[GP|Physician|Doctor]: {titled}\n[Notes|History]: {age} y.o. {nrp} [female|male], [seen on {date}|referred from {org}], [mother|wife|contact] {first} {phone}
{person}\n{job} [at|,] {org}\n{city}, {country}\n\n[EXPERIENCE|Experience]\n{org} - {job} ({date} - {date})\n{org}, {city} - {job} ({year} - {year})\n\n[EDUCATION|Education]\n{org}, {year}\n\n[LANGUAGES|Languages]\n{nrp}, {nrp}
[Police report|Incident|Accident report] {id}: on {date} at {time}, {person} ({age}, {nrp}) of {address} [reported|was seen] near {landmark}. Witness: {reversed}, {phone}. Officer {last} [signed|attended].
{first} [said|wrote]: "[I met|I saw|Tell] {anyone} in {city} [on {day}|in {year}|with {first}]." {first} [laughed|nodded|replied], "[No|Yes], [that was {first}|in {country}|she's {nrp}]."
Hey {first}[,|!]\n\n[so|guess what], {first} and I [are in {city}|met {anyone}|went to {landmark}] [on|last] {day}. [{first}'s mum|{first}'s brother|my aunt {first}] [says hi|lives at {address}|is from {country}].\n\n[xoxo|love|see you],\n{first}
"""

# Lines of forms: the name of a field in some spelling, and the value.
FORMS = r"""
[Full name|Name|Full Name|Applicant name|Cardholder|Account holder|Contact person|Recipient] :: {person}
[First name|Given name|Forename|First Name] :: {first}
[Last name|Surname|Family name|Last Name] :: {last}
[Name (last, first)|Patient|Employee] :: {reversed}
[Title|Salutation] :: {prefix}
[Address|Street address|Home address|Mailing address|Billing address] :: {address}
[Street|Address line 1|Street name|Addr1] :: {street}
[Apartment|Address line 2|Unit] :: {unit}
[City|Town|City of birth|Place of birth|Birthplace] :: {city}
[State|Province|Region] :: {state}
[County|District] :: {county}
[Country|Country of residence|Citizenship country] :: {country}
[ZIP|Zip code|Postal code|Postcode] :: {zip}
[Nationality|Citizenship|Ethnicity] :: {nrp}
[Date of birth|DOB|Birth date|Born] :: {date}
[Date|Signed on|Start date|Expires|Appointment] :: {date}
[Age|Age (years)] :: {age}
[Phone|Telephone|Mobile|Cell|Work phone|Tel.] :: {phone}
[Email|E-mail|Email address] :: {email}
[Employer|Company|Organisation|Organization|School|Hospital|Bank] :: {org}
[Occupation|Job title|Position|Profession|Role] :: {job}
[ID|Order|Reference|Customer no.|Policy] :: {id}
[Amount|Total|Salary] :: {amount}
[Status|Newsletter|Priority|Gender|Plan] :: [active|yes|high|female|basic|none|pending]
[Username|Login|User] :: {user}
[Website|URL] :: {url}
[SSN|Social security number] :: {ssn}
[Card|Card number] :: {card}
"""

# Fields of records: key in snake case, and the value; `?` before the kind of what nobody can tell.
CONTEXT_KEYS = r"""
name :: {person}
full_name :: {person}
customer_name :: {person}
first_name :: {first}
last_name :: {last}
patient :: {reversed}
author :: {person}
assignee :: {anyone}
created_by :: {person}
owner :: {person}
contact :: {person}
manager :: {titled}
title :: {prefix}
address :: {address}
street :: {street}
billing_address :: {address}
ship_to :: {address}
city :: {city}
state :: {state}
country :: {country}
location :: {place}
zip :: {zip}
postal_code :: {zip}
nationality :: {nrp}
dob :: {date}
birth_date :: {date}
date :: {date}
age :: {age}
phone :: {phone}
mobile :: {phone}
email :: {email}
company :: {org}
employer :: {org}
organization :: {org}
job_title :: {job}
occupation :: {job}
id :: {id}
order_id :: {id}
status :: [active|pending|closed|new|failed]
type :: [customer|user|premium|admin]
amount :: {amount}
quantity :: {n}
created_at :: {timestamp}
updated_at :: {timestamp}
username :: {user}
ip :: {ip}
note :: [called {first} on {day}|moved to {city}|speaks {nrp}|prefers email|{anyone} approved|see {org}]
message :: [Hi, I am {person}|Please call {anyone}|Deliver to {address}|thanks {first}|My order is late]
language :: [en|de|fr|es]
"""

ASKS = r"""
[Convert|Turn] this into [JSON|a table|CSV|YAML|SQL]:
[Extract|Find] [the names|all people|every place|the dates|all entities] in this [text|record|file]:
[Clean up|Validate|Deduplicate|Summarise|Anonymise|Explain|Check|Translate] [this|the following|these records]:
[Why does this fail?|What is wrong here?|Fix this.|Is this correct?]
[Here is|This is|Below is] [the record|our data|the log|my form|the customer's message]:
"""
