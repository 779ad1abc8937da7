"""Templates of labelled texts. Slots: person, first, last (names), small_person (without capitals), and values."""

from __future__ import annotations

from typing import Final

TEMPLATES: Final = (
    "My name is {person} and I would like to change my order.",
    "my name is {small_person}, can you help me?",
    "Hi, this is {first} from the billing department.",
    "Dear {person},\nthank you for your letter of last week.",
    "Dear Mr. {last}, your appointment is confirmed.",
    "Please forward the contract to Mrs. {last} before noon.",
    "Best regards,\n{person}\nPhone: {phone}\n{email}",
    "Kind regards,\n{first}",
    "{person} joined the company in spring and reports to {person}.",
    "The report was written by {person} and reviewed by {person}.",
    "According to {last}, the delay was caused by the weather.",
    "I had lunch with {first} and {first} yesterday.",
    "{first} said that the meeting was moved.",
    "Ask {first} whether the parcel has arrived.",
    "We interviewed {person} for the position, and she was excellent.",
    "Did {person} ever pay the invoice?",
    "the ticket was opened by {small_person} this morning",
    "Summarize this complaint: {person} ordered a sofa, which came two weeks late.",
    "Patient: {person}\nDate of birth: {born}\nReason: check-up",
    "Patient {person}, born on {born}, was seen in the clinic.",
    "The claimant, {person}, lives at {address}.",
    "Please send the replacement to {person}, {address}.",
    "Our new address is {address}.",
    "She moved from {address} to {address} last year.",
    "Deliver to: {address}",
    "{address}",
    "Call me at {phone} after six.",
    "My mobile number is {phone}, please text me.",
    "You can reach {person} under {phone}.",
    "Tel. {phone}, fax {phone}",
    "{phone} is not answering.",
    "WhatsApp: {phone}",
    "Please charge my card {card} for the deposit.",
    "The card number {card} was declined twice.",
    "{card}",
    "Transfer the amount to {iban} by Friday.",
    "IBAN: {iban}",
    "Write to {email} or {email} for details.",
    "User {email} logged in from {ip}.",
    "The server at {ip} rejected the login.",
    "My social security number is {ssn}.",
    "SSN {ssn}, DOB {born}",
    "I was born on {born} in a small village.",
    "Her birthday is {born}.",
    'Convert to CSV: {"firstName": "{first}", "lastName": "{last}", "email": "{email}"}',
    "Name: {person}\nAddress: {address}\nPhone: {phone}",
    "From: {person} <{email}>\nTo: {person} <{email}>\nSubject: Offer",
    "Ich heiße {person} und wohne in der {address}.",
    "Je m'appelle {person}, mon numéro est {phone}.",
    "Me llamo {person} y vivo en {address}.",
    "Witness {person} stated that {person} had left before midnight.",
    "Attn: {person}, {address}",
    "Translate: '{person} would like to meet Dr. {last} on Monday.'",
    "{person}, {email}, {phone}, {card}",
    "Signed: {person}",
    "The winner is {person} from Ohio!",
    "I am {first}, a nurse, and I need advice.",
)

NEGATIVE: Final = (
    "Summarize the quarterly report in three bullet points.",
    "Explain how Bayes' theorem applies to spam filtering.",
    "The Jordan River flows into the Dead Sea.",
    "Order 4711-0815 was shipped on 12 March 2021 and arrived within 3 days.",
    "Morgan Stanley and Goldman Sachs raised their forecasts for New York.",
    "SELECT first_name, last_name FROM customers WHERE id = 42;",
    "GET /api/v1/users?page=2&limit=50 HTTP/1.1 200 1532 0.012",
    "The Turing Award is given by the Association for Computing Machinery.",
    "Will the new Chief Technology Officer Grant access to the Rose Garden?",
    "Windows 11 Home and Office 365 Business are on sale until 31 May 2025.",
    "class UserRepository(BaseRepository[User]): ...",
    "Dear Hiring Manager, I am writing to apply for the open position.",
    "Tracking number 9400 1000 0000 0000 0000 00 is not known.",
    "Version 10.0.19045.3803 was built on 2024-01-15 at 10:23:45.",
)

DENSE: Final = (
    "{person}, {address}, {phone}, {email}, card {card}, IBAN {iban}, SSN {ssn}",
    "{person} <{email}> from {ip}: call {phone} or {phone}",
    "Patient: {person}, DOB {born}, {phone}, {address}",
)

MONTHS: Final = (
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
)

CITIES: Final = (
    ("Springfield", "IL 62799", "us"),
    ("Portland", "OR 97299", "us"),
    ("Cedar Rapids", "IA 52499", "us"),
    ("Austin", "TX 78799", "us"),
    ("London", "NW9 9XE", "uk"),
    ("Leeds", "LS9 9AB", "uk"),
    ("Berlin", "10999", "de"),
    ("Hamburg", "20999", "de"),
    ("Paris", "75019", "fr"),
    ("Lyon", "69009", "fr"),
    ("Madrid", "28099", "es"),
    ("Sevilla", "41099", "es"),
)
"""City, postcode (a 9 stands for any digit), country."""

STREETS: Final = {
    "us": ("Elm Street", "Evergreen Terrace", "W 42nd St", "Old Mill Rd", "Sunset Boulevard", "Maple Ave", "Lakeview"),
    "uk": ("Baker Street", "Church Lane", "Victoria Road", "The Green", "Kingsway"),
    "de": ("Hauptstraße", "Lindenallee", "Am Markt", "Goethestr.", "Berliner Platz"),
    "fr": ("rue de la Paix", "avenue Victor Hugo", "place du Marché", "cours Mirabeau", "La Canebière"),
    "es": ("Calle de Alcalá", "Avenida de América", "Plaza Mayor", "Gran Vía", "Paseo del Prado"),
}
"""Two or so of each country are of a form that no rule knows."""
