"""Lists of words that the makers of values choose from; written for this recipe."""

from __future__ import annotations

__all__ = [
    "DEMONYMS",
    "GIVEN_ROMANISED",
    "JOBS",
    "LANDMARKS",
    "ORG_TAILS",
    "ORG_WORDS",
    "PRODUCTS",
    "SURNAMES_ROMANISED",
    "THINGS",
    "WELL_KNOWN",
]

# Given and family names of languages that Faker writes in other scripts, as their bearers write them in English.
GIVEN_ROMANISED = """
Wei Jing Li Min Xiu Yan Hao Jun Lei Xin Yu Mei Ling Xiaoming Jiahui Zihan Yifan Haoran Yuxuan Wenjie Chen Bo Tao Hui
Minjun Seoyeon Jihoon Jiwoo Hyejin Sunghoon Eunji Dong-hyun Soo-jin Ji-won Haruto Yui Sakura Kenji Hiroshi Takeshi
Akira Yuki Naoko Keiko Emiko Satoshi Daiki Ren Aoi Mohammed Muhammad Ahmed Ali Omar Hassan Hussein Khalid Yusuf
Ibrahim Fatima Aisha Layla Zainab Maryam Noor Amina Khadija Salma Rania Tariq Mustafa Abdullah Abdul Karim Rashid
Nadia Samir Farid Priya Rahul Anjali Amit Deepak Sunita Rajesh Sanjay Vikram Arjun Ananya Neha Pooja Ravi Suresh
Lakshmi Meera Kavita Rohan Aarav Ishaan Vivaan Divya Shreya Nikhil Harpreet Gurpreet Manpreet Jaspreet Svetlana Dmitri
Dmitry Sergei Sergey Ivan Olga Natalia Tatiana Ekaterina Alexei Andrei Vladimir Mikhail Boris Yelena Irina Oleksandr
Oksana Volodymyr Taras Bohdan Nikolaos Dimitris Eleni Giorgos Konstantinos Avi Moshe Yael Shira Noa Eitan Chaim Rivka
Levan Giorgi Nino Armen Anahit Chinedu Oluwaseun Ngozi Emeka Adaeze Kwame Kofi Ama Abena Thabo Sipho Nomsa Lerato
Tendai Wanjiku Kamau Achieng Otieno Somchai Siriporn Nguyen Linh Minh Thuy Hoang Tuan Phuong Rizal Siti Putri Budi
Dewi Agus Nurul
""".split()
SURNAMES_ROMANISED = """
Wang Li Zhang Liu Chen Yang Huang Zhao Wu Zhou Xu Sun Ma Zhu Hu Guo He Lin Gao Luo Zheng Liang Xie Tang Xu Deng Feng
Han Cao Zeng Peng Xiao Cai Pan Tian Dong Yuan Yu Ye Wei Su Lu Jiang Kim Lee Park Choi Jung Kang Cho Yoon Jang Lim Han
Shin Seo Kwon Hwang Ahn Song Hong Tanaka Suzuki Sato Watanabe Ito Yamamoto Nakamura Kobayashi Kato Yoshida Yamada
Sasaki Yamaguchi Matsumoto Inoue Kimura Hayashi Shimizu Mori Ikeda Hashimoto Ogawa Fujita Okada Khan Ahmed Ali Hussain
Hassan Al-Sayed Al-Farsi El-Amin Haddad Khoury Nasser Mansour Aziz Rahman Malik Siddiqui Qureshi Sheikh Ansari Mirza
Bukhari Chowdhury Singh Kaur Patel Sharma Gupta Kumar Reddy Nair Iyer Menon Rao Verma Mehta Shah Desai Joshi Kulkarni
Banerjee Mukherjee Chatterjee Bose Das Ghosh Agarwal Kapoor Malhotra Chopra Bhatia Ivanov Petrov Sidorov Smirnov
Kuznetsov Popov Volkov Sokolov Lebedev Kozlov Novikov Morozov Ivanova Petrova Kovalenko Shevchenko Bondarenko
Tkachenko Kravchenko Papadopoulos Georgiou Nikolaidis Cohen Levy Mizrahi Friedman Katz Shapiro Goldberg Rosenberg
Petrosyan Sargsyan Okafor Adeyemi Okonkwo Balogun Eze Mensah Asante Boateng Owusu Dlamini Nkosi Ndlovu Mokoena Moyo
Mwangi Kariuki Odhiambo Njoroge Tran Le Pham Hoang Phan Vu Dang Bui Do Ngo Duong Suharto Wijaya Santoso Hidayat
""".split()

_ONE_WORD = """
American British English Scottish Welsh Irish French German Italian Spanish Portuguese Dutch Belgian Swiss Austrian
Danish Swedish Norwegian Finnish Icelandic Polish Czech Slovak Slovenian Croatian Serbian Bosnian Macedonian Albanian
Greek Turkish Bulgarian Romanian Hungarian Ukrainian Russian Belarusian Lithuanian Latvian Estonian Moldovan Georgian
Armenian Azerbaijani Kazakh Uzbek Turkmen Kyrgyz Tajik Afghan Pakistani Indian Bangladeshi Nepali Nepalese Bhutanese
Chinese Japanese Korean Taiwanese Mongolian Vietnamese Thai Cambodian Laotian Burmese Malaysian Singaporean Indonesian
Filipino Australian Canadian Mexican Guatemalan Honduran Salvadoran Nicaraguan Panamanian Cuban Jamaican Haitian
Dominican Bahamian Barbadian Trinidadian Colombian Venezuelan Ecuadorian Peruvian Bolivian Chilean Argentine
Argentinian Uruguayan Paraguayan Brazilian Guyanese Moroccan Algerian Tunisian Libyan Egyptian Sudanese Ethiopian
Eritrean Somali Kenyan Ugandan Tanzanian Rwandan Burundian Congolese Angolan Zambian Zimbabwean Malawian Mozambican
Namibian Botswanan Nigerian Ghanaian Ivorian Senegalese Gambian Malian Nigerien Chadian Cameroonian Gabonese Liberian
Togolese Beninese Mauritanian Malagasy Mauritian Saudi Yemeni Omani Emirati Qatari Bahraini Kuwaiti Iraqi Iranian
Syrian Lebanese Jordanian Palestinian Israeli Cypriot Maltese Luxembourgish Fijian Samoan Tongan Maori Hawaiian
European Asian African Hispanic Latino Latina Arab Kurdish Persian Jewish Muslim Christian Catholic Protestant
Orthodox Hindu Buddhist Sikh Mormon Baptist Lutheran Atheist Republican Democrat Conservative Liberal Socialist
Caucasian Basque Catalan Bengali Punjabi Tamil Scandinavian
""".split()
_TWO_WORDS = [
    "South African", "New Zealander", "Sri Lankan", "Costa Rican", "Puerto Rican", "South Korean", "Sierra Leonean",
]  # fmt: skip
DEMONYMS = _ONE_WORD + _TWO_WORDS

JOBS = [
    "software engineer", "Software Engineer", "data analyst", "nurse", "registered nurse", "project manager",
    "accountant", "Product Manager", "Senior Developer", "CEO", "CTO", "CFO", "Chief Operating Officer",
    "Head of Marketing", "teacher", "Sales Representative", "HR Manager", "HR business partner", "paralegal",
    "attorney", "plumber", "electrician", "Regional Director", "Vice President", "VP of Sales", "office manager",
    "executive assistant", "barista", "chef", "customer success manager", "Support Engineer", "research scientist",
    "pharmacist", "dentist", "physiotherapist", "truck driver", "graphic designer", "UX designer", "librarian",
    "police officer", "firefighter", "journalist", "real estate agent", "Financial Advisor", "warehouse supervisor",
    "site reliability engineer", "QA lead", "architect",
]  # fmt: skip

LANDMARKS = [
    "{name} Park", "{city} Airport", "{city} International Airport", "Lake {name}", "Mount {name}",
    "{city} Central Station", "{name} Bridge", "{name} Beach", "{name} River", "{city} Harbour", "{name} Square",
    "{name} Valley", "{city} Old Town", "{name} Island", "downtown {city}", "North {city}", "{city} County",
    "{name} Creek", "{name} Stadium", "{city} Bay",
]  # fmt: skip

ORG_WORDS = """
Acme Apex Summit Pioneer Horizon Vertex Nimbus Solstice Evergreen Bluebird Ironwood Keystone Lighthouse Meridian
Northstar Orchid Pinnacle Quantum Redwood Sapphire Trident Unity Vanguard Westwind Zenith Atlas Beacon Cobalt Delta
Ember Falcon Granite Harbor Indigo Juniper Kestrel Lotus Magnolia Nova Oakridge Phoenix Quarry Riverside Sterling
Titan Umbra Velocity Willow Crescent Global National United Premier Advanced Dynamic Modern Allied Coastal Pacific
Atlantic Central Metro Capital
""".split()
ORG_TAILS = [
    "{word} Inc", "{word} Inc.", "{word} LLC", "{word} Ltd", "{word} Ltd.", "{word} Corp", "{word} Corporation",
    "{word} Group", "{word} {more}", "{word} {more} Inc.", "{word} Technologies", "{word} Systems",
    "{word} Solutions", "{word} Labs", "{word} Bank", "Bank of {city}", "{word} Insurance", "{word} Airlines",
    "{word} Logistics", "{word} Foods", "{word} Energy", "{word} Health", "{word} Pharmaceuticals", "{word} Partners",
    "{word} Capital", "{word} Media", "{name} & Sons", "{name} & {other}", "{name} & {other} LLP",
    "{name}, {other} and {name}", "{name} Group", "{name} Industries", "{name} Ltd", "{name} Foundation",
    "{name} Consulting", "{name} Brothers", "{name}'s Bakery", "{name} Motors", "University of {city}",
    "{city} University", "{city} State University", "{city} General Hospital", "St. {name} Hospital",
    "{city} Medical Center", "{city} High School", "{city} City Council", "{city} United", "{city} Police Department",
    "{city} Chamber of Commerce", "{name} Elementary School", "Department of {word} Affairs",
    "Ministry of {word} Affairs", "{city} Public Library", "{word} Credit Union", "{word} Records", "{word}soft",
    "{word}ly", "{word}.io", "The {word} Company", "{name} GmbH", "{name} AG", "{name} S.A.", "{word} {name} Ltd",
    "{city} Water Company", "{word} Airways", "{word} Telecom", "The {city} Times", "Association of {word} Engineers",
    "{word} Trust", "{word} Society", "{word} Committee", "{word} Institute of Technology",
]  # fmt: skip

# What is named like a person, a place or a people in technical text, and is a thing.
PRODUCTS = """
Python Java Ruby Julia Rust Go Swift Kotlin Scala Perl Pascal Ada Haskell Erlang Elixir Clojure Crystal Dart Basic
Fortran Docker Kubernetes Helm Jenkins Travis Ansible Chef Puppet Vagrant Terraform Consul Vault Nomad Packer
Prometheus Grafana Loki Tempo Jaeger Zipkin Fluentd Kafka Cassandra Redis Mongo MongoDB Postgres PostgreSQL MySQL
MariaDB Oracle Neo4j Elasticsearch Solr Lucene Hadoop Hive Spark Flink Storm Beam Airflow Luigi Prefect Dagster Django
Flask Starlette Uvicorn Gunicorn Celery Rails Sinatra Express React Angular Vue Svelte Ember Backbone Next.js Nuxt
Gatsby Babel Webpack Vite Jest Mocha Jasmine Cypress Selenium Playwright Maven Gradle Ant Ivy Tomcat Jetty Apache
Nginx Caddy Traefik Envoy Istio Linkerd Pandas NumPy Keras Torch TensorFlow Jupyter Anaconda Conda Poetry Sphinx
Mercurial Git GitHub GitLab Bitbucket Jira Confluence Slack Trello Notion Figma Sketch Ubuntu Debian Fedora Alpine
Arch Gentoo CentOS Windows macOS Android Chrome Firefox Safari Opera Edge Alexa Siri Cortana Watson Claude Gemini
Llama Mistral Falcon Bert Albert Roberta Electra Adam Lambda Aurora Athena Redshift Glacier Kinesis Sagemaker
Beanstalk Azure Lucidchart Bazel Buck Pants Ninja Meson Markdown Mermaid Pygments Jinja Mustache Liquid Phoenix Mnesia
Pascal Turing Ampere Hopper Volta Fermi Kepler Maxwell Newton Gauss Euler Fourier Laplace Bayes Markov Bernoulli
Dijkstra Bloom Merkle Huffman Levenshtein Unicode Lorem Avro Parquet Arrow
""".split()

# Common nouns that rare names look like: animals, plants, units, colours, foods, tools.
THINGS = """
lorikeet quail heron kestrel robin wren finch jay martin swift crane raven otter badger lynx ocelot gibbon macaw
iguana gecko python cobra viper mantis cicada weevil beetle ladybird sparrow falcon condor salmon trout herring perch
bass pike marlin conch henry weber tesla farad siemens ohm joule kelvin pascal newton hertz becquerel gray sievert
katal lux lumen candela angstrom gauss maxwell mho dyne erg furlong fathom acre bushel crimson scarlet amber olive
ivory hazel indigo violet coral jade ebony sienna umber ochre teal maroon basil sage rosemary thyme saffron ginger
clove cinnamon cayenne fennel dill parsley chervil lily rose iris poppy daisy heather holly ivy fern aspen rowan
linden laurel myrtle jasmine marigold dahlia lavender brandy sherry port champagne burgundy madeira cheddar brie gouda
edam parmesan tofu ramen sushi curry falafel hummus pita hammer anvil chisel lathe mason smith cooper baker carter
fisher hunter archer fletcher tanner turner porter butler page knight pearl ruby opal garnet beryl diamond quartz
mercury venus mars jupiter saturn orion phoenix draco lyra may june august joy hope faith grace charity mercy patience
dawn eve sunny stormy chase rich frank earnest grant mark bill sue pat rob
""".split()

WELL_KNOWN = """
Google Microsoft Apple Amazon Netflix Facebook Twitter IBM Intel Nvidia Samsung Sony Toyota Honda Volkswagen BMW
Siemens Bosch Nestlé Unilever Danone Pfizer Novartis Roche Bayer AstraZeneca Visa Mastercard PayPal Stripe HSBC
Barclays Citibank Santander UBS Allianz AXA Lufthansa Ryanair Delta United FedEx UPS DHL Walmart Target Costco Tesco
Aldi IKEA Starbucks McDonald's Nike Adidas Boeing Airbus Shell BP Exxon Vodafone Verizon AT&T Comcast Reuters BBC CNN
NASA NATO UNICEF UNESCO WHO FBI CIA NHS IRS Harvard Stanford Oxford Cambridge MIT Yale Princeton Deloitte KPMG
Accenture Infosys Tata Huawei Tencent Alibaba Uber Lyft Airbnb Spotify Salesforce Oracle Dell HP Cisco Adobe Zoom
Coca-Cola PepsiCo Heineken Disney Greenpeace Oxfam
""".split()
