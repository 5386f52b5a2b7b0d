//! Sentences without sense, of words that are common in English.

use headgan::random::Rng;

/// Words that hold sentences together; of three words one is of these.
const COMMON: &str = "a about all an and are as at be been but by call can can't come could day did do don't down each find first for \
    from get go had has have he her him his how i'm if in into is it it's its like long look made make many may more \
    my no not now number of on one or other out over part people said see she so some than that that's the their \
    them then there these they this time to two up use was water way we we're were what when which who will with \
    would write you your";
/// All others.
const OTHERS: &str = "able above across act actor add after again against age ago air airport almost along already also although \
    always am among amount angle animal another answer any anything appear apple area arms around ask away baby back \
    ball base basket bear beat beautiful became because become bed before began begin behind being believe below \
    beside best better between bicycle big bird black blanket blue boat body book both bottle bottom box boy bread \
    breath bridge bright bring broken brother brought building built button buy came camera candle cannot car care \
    carefully carpet carry case cat cattle cause ceiling cells center century certain chair change check cheek \
    children chin circle city class clear clock close clothes coffee cold color common complete contain copy correct \
    count country course cousin covered cried cross curtain cut damage dance danger dark daughter decided deep \
    describe desert detail developed dictionary died difference different dinner direction discovered distance \
    divided doctor does dog done door dragon draw dream dress drive drop drum dry during dust eagle early earth easy \
    eat edge effort eggs either end energy engine enough even evening ever every everyone everything exactly example \
    exercise explain eye face fact factors fall family famous far farm farmers fast father feather feel feet fellow \
    felt fever few field fight figure filled finally fine finger finished fire fish five flame floor flowers fluid \
    fly follow food force forest forget fork form found four free freedom fresh fridge friend front full funny \
    future game garden gave general gentle ghost giant girl give glass gold gone good goose got government grape \
    grass great green ground group grow guitar habit hair half hammer hand handle happened happy harbor hard head \
    healthy hear heard heart heat heavy held help here hidden high hill himself hold hole holiday home honest hope \
    horse hot hotel hours house however hundred hunger husband ice idea important include inside instead instruments \
    interest iron island jacket jewel job joke journey judge juice jumped jungle just justice keep kept kettle kick \
    kidney killed kind king kiss kitchen kitten knee knew knife knock know known ladder lady lake lamp land language \
    large last later laugh laughed laundry lay lazy lead learn leave left legs lemon length less let let's letter \
    level liberty library life light line lion lips liquid list listen little live lizard lonely lot love lovely low \
    lucky lunch machine magic main man manager map marble mark market material matter me meadow mean measure \
    medicine meet melody members memory men message metal method middle might mile milk million mind minutes mirror \
    miss mixture moment money monkey monster months moon morning most mother mountain mouse mouth move much muscle \
    music must mystery name napkin nation natural near need needle nephew never new next night noise noodle north \
    nose note nothing notice novel nurse object ocean off office often old once only open orange order our outside \
    oven own owner oxygen package page paint painter pair palace panda paper parent passed past pattern pencil \
    pepper per perfume perhaps person photo piano picked picture piece pillow pilot pizza place plan plane planet \
    plant plastic play player pocket poem point police pony poor popular possible potato power present prince prize \
    probably problem produce products promise proud public pudding pulled puppet purple pushed put puzzle quality \
    quarter queen question quickly quiet quite rabbit race radio rain ran read ready really reason record red region \
    remain remember reply rescue rest result return ribbon ride right river road robot rock rocket roof room root \
    round rubber rule run safety sail salad salmon same sandwich sat saturday saw say scale scene school scientists \
    scissors screen sea second secret section seem seen sentence servant set several shadow shampoo shape shelf ship \
    short should shoulder shout show shower shown side sign silver simple since sing sister sit six size skirt sky \
    sleep slowly small smile smiled snow soap soft soil soldier solve someone something sometimes son song soon \
    sound soup south space speak special speed spell spider spoon sport spring square squirrel stand stars start \
    state station stay step still stomach stone stood stop store storm story stranger street strong student study \
    subject success such suddenly sugar suitcase sum summer sun sunday sure surface surprise sweater switch system \
    table take talk tall target teacher teapot television tell temperature temple ten tennis test thank theatre \
    themselves thing think third thirsty those though thought thousands three through thunder ticket tiger tiny \
    tired toast today together told tomato tomorrow tongue too took tooth top toward tower town traffic train travel \
    treasure tree trip trouble true trumpet try tunnel turkey turn type umbrella uncle under understand unhappy unit \
    until upon us useful usually valley vegetable very victory village violin visit voice volcano wagon wait waiter \
    walk wall wallet want war warm watch waves weapon weather wednesday week welcome well went west whale wheat \
    wheels where whether while whisper whistle white whole why wide wild wind window winner winter wisdom wish \
    within without wolf woman wonder wonderful wood work world worry wrist written yard year yellow yes yesterday \
    yet young zebra zero";
/// Fewest and most words of a sentence.
const LENGTH: [usize; 2] = [2, 7];

/// A sentence in small letters.
pub fn sentence(rng: &mut Rng) -> String {
    let (common, others): (Vec<&str>, Vec<&str>) = (COMMON.split(' ').collect(), OTHERS.split(' ').collect());
    let n = LENGTH[0] + rng.below(LENGTH[1] - LENGTH[0] + 1);
    let mut word = || {
        let list = if rng.below(3) == 0 { &common } else { &others };
        list[rng.below(list.len())]
    };
    (0..n).map(|_| word()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn words_are_words_and_each_stands_once() {
        let words: Vec<&str> = COMMON.split(' ').chain(OTHERS.split(' ')).collect();
        assert!(words.iter().all(|w| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c == '\'')));
        assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
    }

    #[test]
    fn sentences_follow_from_the_seed() {
        assert_eq!(sentence(&mut Rng(5)), sentence(&mut Rng(5)));
        let many: HashSet<String> = (0..1000).map(|i| sentence(&mut Rng::from_parts(&[1, i]))).collect();
        assert!(many.len() > 980, "{}", many.len());
        assert!(many.iter().all(|s| (2..=7).contains(&s.split(' ').count())));
    }
}
