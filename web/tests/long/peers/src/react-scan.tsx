import './react-scan-start'; // before React
import { offer } from './bench';

offer({});
